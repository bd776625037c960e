"""A real Temporal server for tests: the tuned command of `rhone up`, in a folder of its own."""

import asyncio
import socket
import time
from itertools import count
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from cli.home import Home
from cli.supervise.stack import Place, temporal
from tests.processes import Program, until

RETENTION = Duration(seconds=24 * 3600)
COMES_UP_S = 60.0
_NUMBERS = count(1)


class TemporalServer:
    """Killed and started again it answers at the same address, with all that it had acknowledged."""

    def __init__(self, folder: Path, cache: Path, *settings: str) -> None:
        """`settings` are more of the server's own options, as `--dynamic-config-value`, `name=value`."""
        home = Home(folder)
        home.make()
        self._port = _free_port()
        program = temporal(Place(home, cache, None, 0, self._port))
        self._argv = (*program.argv, *settings)
        self._environment = program.environment
        self._log = folder / "temporal.log"
        self.address = f"127.0.0.1:{self._port}"
        self._process = self._started()

    def restart(self) -> None:
        self._process = self._started()

    def kill(self) -> None:
        self._process.kill()

    async def client(self, namespace: str = "default") -> Client:
        """Waits for a server that is coming up."""
        await until(self._answers, COMES_UP_S, "the Temporal server does not come up")
        deadline = time.monotonic() + COMES_UP_S
        while True:
            try:
                return await Client.connect(
                    self.address, namespace=namespace, data_converter=pydantic_data_converter
                )
            except (RuntimeError, RPCError):
                assert time.monotonic() < deadline, "the Temporal server takes no client"
                await asyncio.sleep(0.05)

    async def new_namespace(self) -> str:
        """Whoever has one of its own shares no queue and no workflow with anybody."""
        name = f"test-{next(_NUMBERS)}"
        client = await self.client()
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=RETENTION)
        )
        return name

    def _started(self) -> Program:
        return Program(self._argv, self._log, self._environment)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
