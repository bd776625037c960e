"""A fresh stack for each repeat: its own directory, ports and databases, gone when the repeat is over."""

import asyncio
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from bench.bare import QUEUE
from cli.bootstrap import bootstrap
from cli.home import Home
from cli.settings import read_settings
from cli.setup.engine import remove_boxes
from cli.supervise import stack
from cli.supervise.child import Child, Program
from cli.supervise.logs import Log
from cli.supervise.stack import Place
from protocol.ids import fresh
from records.bus import bus_for
from records.database import Database
from records.hints import Hints
from records.writer import Writer
from workflows.options import WORKFLOW_TASK_TIMEOUT

COMES_UP_S = 30.0

QUIET = {"RHONE_REAP_SECONDS": "3600"}
"""Boxes are removed at the end of a repeat, not while something is measured."""


@dataclass
class Stack:
    """The processes of one repeat, and this process's own connections to what they share."""

    place: Place
    environment: Mapping[str, str]
    client: Client
    database: Database
    hints: Hints
    writer: Writer
    children: dict[str, Child] = field(default_factory=dict[str, Child])
    programs: dict[str, Program] = field(default_factory=dict[str, Program])

    def start(self, program: Program) -> Child:
        environment = {**program.environment, **self.environment}
        program = Program(program.name, program.argv, environment, program.grace)
        child = Child(program, Log(self.place.home.logs / f"{program.name}.log"))
        self.children[program.name] = child
        self.programs[program.name] = program
        return child

    async def temporal(self) -> None:
        self.start(stack.temporal(self.place))
        await reach(self.client)

    async def worker(self) -> None:
        """Rhone's worker, as `rhone up` starts it."""
        await self.begin(stack.worker(self.place))

    async def gateway(self) -> None:
        self.start(stack.gateway(self.place))
        async with asyncio.timeout(COMES_UP_S), httpx2.AsyncClient(trust_env=False) as http:
            while True:
                with suppress(httpx2.TransportError):
                    if (await http.get(f"{self.place.url}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.02)

    async def bare_worker(self, model_url: str = "") -> None:
        """The baseline's worker: the same options, nothing of Rhone in its workflows and activities."""
        told = (address(self.place), str(self.place.home.root), model_url)
        await self.begin(self.python("bare", "-m", "bench.bare", *told))

    def python(self, name: str, *arguments: str) -> Program:
        """A program of the benches in the environment of a Rhone process."""
        return Program(name, (sys.executable, *arguments), stack.worker(self.place).environment)

    async def bare(self, workflow: str, order: object) -> Any:
        """The result of a bare workflow."""
        return await self.client.execute_workflow(
            workflow,
            order,
            id=fresh("bare_"),
            task_queue=QUEUE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
        )

    async def restart(self, name: str) -> float:
        """SIGKILL, and the program again at once; tells how many seconds it was dying."""
        began = time.monotonic()
        self.children[name].tell(signal.SIGKILL)
        await self.children[name].end()
        took = time.monotonic() - began
        self.start(self.programs[name])
        return took

    async def begin(self, program: Program) -> None:
        """A program that says by a file when it polls."""
        ready = self.place.home.root / f"{program.name}.ready"
        ready.unlink(missing_ok=True)
        self.start(program)
        try:
            await until(ready.exists)
        except TimeoutError:
            raise RuntimeError(f"{program.name}: {self.log(program.name)[-2000:]}") from None

    def log(self, name: str) -> str:
        return (self.place.home.logs / f"{name}.log").read_text(errors="replace")

    async def end(self) -> None:
        for name in reversed(list(self.children)):
            await self.children.pop(name).stop(10)


@asynccontextmanager
async def fresh_stack(
    *, config: str, script: str, environment: Mapping[str, str] = QUIET, database_url: str | None = None
) -> AsyncGenerator[Stack]:
    """Records, keys and a running Temporal server; the rest is started by whoever needs it."""
    root = Path(tempfile.mkdtemp(prefix="rhone-bench-"))
    try:
        home = Home(root)
        bootstrap(home, database_url)
        (root / "script.toml").write_text(script)
        file = root / "rhone.toml"
        file.write_text(config)
        place = stack.choose_place(home, read_settings().cache, file, 0)
        told = {"RHONE_DATABASE_URL": database_url} if database_url else {}
        database = Database.open(database_url or f"sqlite:///{home.database}", root / "blobs")
        hints = bus_for(database.url, root / "hints")
        await hints.start()
        writer = Writer(database, hints)
        client = await connect(place)
        made = Stack(place, {**environment, **told}, client, database, hints, writer)
        try:
            await made.temporal()
            yield made
        finally:
            await made.end()
            _remove_boxes(home)
            writer.close()
            await hints.close()
            database.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _remove_boxes(home: Home) -> None:
    """What this stack's workers, and the baseline's, have left on the engine of the machine."""
    if home.installation.exists():
        remove_boxes(home.installation.read_text().strip())
    remove_boxes(str(home.root))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def address(place: Place) -> str:
    return f"127.0.0.1:{place.temporal_port}"


async def connect(place: Place) -> Client:
    return await Client.connect(address(place), data_converter=pydantic_data_converter, lazy=True)


async def reach(client: Client) -> None:
    """The server serves, and its namespace is there."""
    async with asyncio.timeout(COMES_UP_S):
        while True:
            try:
                await client.count_workflows()
                return
            except (RPCError, RuntimeError):
                await asyncio.sleep(0.02)


async def answers(port: int) -> None:
    """Somebody listens there."""
    async with asyncio.timeout(COMES_UP_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(COMES_UP_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)
