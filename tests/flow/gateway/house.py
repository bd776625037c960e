"""A gateway that really listens, over records of its own; the test stands in for engine and worker."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from gateway.app import build
from gateway.gateway import Gateway
from gateway.server import Server, listen
from gateway.settings import Settings
from gateway.wiring import opened
from protocol.block import InputDraft, TextPart
from protocol.capability import Grant
from protocol.checkpoint import Checkpoint, CheckpointKind, Envelope, Required
from protocol.config_text import parse_config
from protocol.digest import digest
from protocol.errors import Unavailable
from protocol.event import EventBody
from protocol.ids import CheckpointId, RunId, SnapshotId, ToolExecutionId, fresh
from protocol.principal import ALL_SCOPES, Scope, Tenant
from protocol.run import StopReason
from records import checkpoints, keys, principals, run_end, runs, snapshots, tool_executions
from records.bus import bus_for
from records.hints import LocalHints
from records.secrets import Secrets
from records.tx import Tx
from records.writer import Writer
from tests import migrated
from tests.snapshots import unsigned
from workflows.messages import Look, Looked

T = TypeVar("T")
DIGEST = digest({"the": "act"})

CONFIG = """\
counting_tools = "counts"

[providers.local]
protocol = "scripted"
script = "script.toml"
models = ["m1", "m2"]
prices = { m2 = { input = 1.0, output = 2.0 } }

[aliases]
smart = "local/m1"

[targets.dev]
kind = "workspace"

[forges.forge]
kind = "gitea"
url = "http://127.0.0.1:3000"
tokenRef = { kind = "file", name = "forge.token" }
owner = "demo"

[forges.bare]
kind = "gitea"
url = "http://127.0.0.1:3000"
tokenRef = { kind = "file", name = "forge.token" }
"""


class TestEngine:
    """Takes down what it is told; it can be away, or slow to answer."""

    __test__ = False

    def __init__(self) -> None:
        self.started: list[RunId] = []
        self.woken: list[RunId] = []
        self.away = False
        self.waiting = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.while_starting: Callable[[RunId], Any] | None = None

    async def start(self, run_id: RunId) -> None:
        self.waiting += 1
        await self.go_on.wait()
        self.waiting -= 1
        if self.while_starting is not None:
            await self.while_starting(run_id)
        await self.check()
        self.started.append(run_id)

    async def wake(self, run_id: RunId) -> None:
        await self.check()
        self.woken.append(run_id)

    async def look(self, order: Look) -> Looked:
        await self.check()
        return Looked(code="run.diff_unavailable", message="nobody looks here")

    async def check(self) -> None:
        if self.away:
            raise Unavailable("engine.unavailable", "the engine is away", retry_after=1)


class House:
    """The gateway, a client with the administrator's key, and a worker's hand in the same records."""

    def __init__(
        self, gateway: Gateway, engine: TestEngine, server: Server, client: httpx2.AsyncClient, worker: Writer
    ) -> None:
        self.gateway = gateway
        self.engine = engine
        self.server = server
        self.client = client
        self.worker = worker

    def anonymous(self) -> httpx2.AsyncClient:
        return plain_client(str(self.client.base_url))

    def holding(self, token: str) -> httpx2.AsyncClient:
        client = self.anonymous()
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    async def commit(self, unit: Callable[[Tx], T], *run_ids: RunId) -> T:
        """As another process does: the gateway hears of it on the bus."""
        return await self.worker.commit(unit, runs=run_ids)

    async def key(
        self,
        *scopes: Scope,
        tenant: Tenant = principals.DEFAULT,
        roles: tuple[str, ...] = (),
        name: str = "somebody",
    ) -> str:
        """A key of a new principal."""
        minted = keys.mint(self.gateway.pepper)

        def unit(tx: Tx) -> None:
            holder = principals.create_principal(tx, tenant, name=name, kind="user", roles=roles)
            new = principals.NewKey(
                id=minted.key_id,
                principal_id=holder.id,
                scopes=scopes or ALL_SCOPES,
                secret_hash=minted.secret_hash,
            )
            assert principals.create_key(tx, tenant, new) is not None

        await self.commit(unit)
        return minted.token

    async def start(self, **fields: Any) -> RunId:
        """A run that the API made and a worker has taken up."""
        answer = await self.client.post("/v1/runs", json={"input": "do it", "model": "smart", **fields})
        assert answer.status_code == 201, answer.text
        run_id = RunId(answer.json()["id"])
        assert await self.commit(lambda tx: runs.claim(tx, run_id), run_id) is not None
        return run_id

    async def append(self, run_id: RunId, *bodies: EventBody) -> None:
        def unit(tx: Tx) -> None:
            for body in bodies:
                tx.append(run_id, body)

        await self.commit(unit, run_id)

    async def quietly(self, unit: Callable[[Tx], object], run_id: RunId) -> None:
        """A commit whose hint is lost."""
        mute = Writer(self.gateway.database, LocalHints())
        await mute.commit(unit, runs=[run_id])
        await asyncio.to_thread(mute.close)

    async def resolve(self, run_id: RunId, *grants: Grant) -> SnapshotId:
        """A snapshot of the run with these grants, and one row of evidence."""

        def unit(tx: Tx) -> SnapshotId:
            record = runs.load(tx.connection, run_id)
            assert record is not None
            snapshot = unsigned(run_id, tx.now, *grants)
            snapshots.add(tx, record.tenant, snapshot)
            snapshots.add_evidence(tx, snapshot.id, "probe", {"ok": True})
            runs.set_snapshot(tx, run_id, snapshot.id)
            return snapshot.id

        return await self.commit(unit, run_id)

    async def end(self, run_id: RunId, reason: StopReason = "end_turn", text: str = "done") -> None:
        assert await self.commit(lambda tx: run_end.end(tx, run_id, completed(reason, text)), run_id)

    async def ask(
        self,
        run_id: RunId,
        *,
        kind: CheckpointKind = "approval",
        required: Required | None = None,
        expires_in_ms: int = 60_000,
        envelope: Envelope | None = None,
    ) -> Checkpoint:
        """A tool execution of the run that waits for somebody."""
        execution = ToolExecutionId(fresh("tool_"))

        def unit(tx: Tx) -> Checkpoint | None:
            record = runs.load(tx.connection, run_id)
            assert record is not None
            tool_executions.request(
                tx,
                tool_executions.NewToolExecution(
                    id=execution,
                    run_id=run_id,
                    session_id=record.run.session_id,
                    step=1,
                    ordinal=0,
                    tool_call_id="call-1",
                    tool="git_push",
                    source="client" if kind == "client_tool" else "forge",
                    effect="non_idempotent_write",
                    arguments={"branch": "rhone/fix"},
                ),
            )
            new = checkpoints.NewCheckpoint(
                id=CheckpointId(fresh("ckpt_")),
                tenant=record.tenant,
                run_id=run_id,
                session_id=record.run.session_id,
                kind=kind,
                tool="git_push",
                tool_execution_id=execution,
                arguments={"branch": "rhone/fix"},
                envelope=envelope,
                envelope_digest=DIGEST if kind == "approval" else None,
                rendered="push rhone/fix",
                requested_by=record.principal_id,
                required=required or Required(),
                expires_in_ms=expires_in_ms,
            )
            opened = checkpoints.open_checkpoint(tx, new)
            assert opened is not None
            tool_executions.wait(tx, execution, opened.id)
            runs.set_waiting(tx, run_id, (opened.id,))
            return opened

        opened = await self.commit(unit, run_id)
        assert opened is not None
        return opened


@asynccontextmanager
async def house(
    folder: Path,
    *,
    config: str = "",
    auth_mode: Any = None,
    ping_s: float = 15.0,
    database_url: str | None = None,
    away: bool = False,
) -> AsyncGenerator[House]:
    folder.mkdir(exist_ok=True)
    if database_url is None and not (folder / "rhone.db").exists():
        migrated.put(folder / "rhone.db")
    (folder / "script.toml").write_text('[[scenarios]]\nturns = [{ text = "hello" }]\n')
    settings = Settings.model_validate(
        {
            "data": folder,
            "auth_mode": auth_mode,
            "database_url": database_url,
            "drain_notice_s": 0.2,
            "drain_s": 3,
        }
    )
    engine = TestEngine()
    parsed = parse_config(CONFIG + config)
    async with opened(settings, parsed, Secrets(folder, {}), engine, ping_s=ping_s) as gateway:
        if not away:
            await gateway.prepared.wait()
        app = build(gateway, open_house=auth_mode == "disabled")
        server = Server(app, gateway.room, gateway.feed, settings)
        with listen("127.0.0.1", 0) as listener:
            # small, so that a reader who stops is felt soon
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            bus = bus_for(settings.records_url, folder / "hints")
            await bus.start()
            worker = Writer(gateway.database, bus)
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with plain_client(address) as client:
                made = House(gateway, engine, server, client, worker)
                if not away:
                    token = await made.key(roles=("admin",), name="admin")
                    client.headers["Authorization"] = f"Bearer {token}"
                yield made
            # uvicorn looks for `should_exit` ten times a second, which is longer than most tests
            serving.cancel()
            await asyncio.wait([serving])
            for listening in server.servers:
                listening.close()
            await asyncio.to_thread(worker.close)
            await bus.close()


def plain_client(address: str) -> httpx2.AsyncClient:
    """Without the trust store, whose reading takes longer than most tests."""
    return httpx2.AsyncClient(base_url=address, timeout=20, verify=False)


def completed(reason: StopReason = "end_turn", text: str = "done") -> run_end.RunOutcome:
    return run_end.RunOutcome(status="completed", stop_reason=reason, output_text=text)


def error_of(answer: httpx2.Response) -> tuple[int, str, str | None]:
    """Status, code and field of a refusal, which has the one shape."""
    body = answer.json()
    assert set(body) == {"error"}, body
    error = body["error"]
    assert {"type", "code", "message", "request_id", "retryable"} <= set(error), error
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error.get("param")


def text_draft(text: str) -> InputDraft:
    return InputDraft(content=(TextPart(text=text),))


def frames_of(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """The events of a stream's bytes: id, type and object."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found
