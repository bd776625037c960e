"""A whole installation for tests: its own records, its own namespace of a Temporal server, real workers.

The test process stands in for the gateway: it commits intents and words with the same functions of the
records, and wakes workflows. Everything else is the product's own processes.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from capabilities.signing import generate
from harness.loop import patched
from protocol.block import InputBlock, InputDraft, TextPart
from protocol.checkpoint import Checkpoint
from protocol.effect import EffectRow
from protocol.event import TERMINAL_EVENTS, InputReceived
from protocol.ids import BlockId, RunId, SessionId, ToolExecutionId, fresh
from protocol.inbox import Cancel, Interrupt, InterruptBehavior, LimitsRaised, Message, Sent
from protocol.noun import JSONObject
from protocol.principal import ALL_SCOPES, Caller
from protocol.run import Limits, LimitsPatch, RunRequest
from protocol.session import SessionRequest
from records import (
    blocks,
    boxes,
    checkpoints,
    client_tools,
    decisions,
    effects,
    events,
    inbox,
    principals,
    runs,
    sessions,
)
from records.bus import bus_for
from records.database import Database
from records.run_record import RunRecord
from records.tx import Tx
from records.writer import Writer
from targets.memory import Counted, CountingTools
from tests import migrated
from tests.nursery import nursery
from tests.processes import Process, until
from tests.temporal_server import TemporalServer
from worker.failpoints import Point
from workflows.messages import RunStart
from workflows.options import WORKFLOW_TASK_TIMEOUT
from workflows.signatures import RUN_WORKFLOW, WAKE, WORKER_QUEUE, workflow_id

T = TypeVar("T")
Event = dict[str, Any]

CONFIG = """\
counting_tools = "counts"

[providers.local]
protocol = "scripted"
models = ["m"]
script = "script.toml"

[targets.dev]
kind = "workspace"
limits = { memory_mb = 384, disk_mb = 128 }

[policies]
files = ["policy.cedar"]
"""

POLICY = """\
@id("test.counting-is-harmless")
permit (principal, action, resource is Tool) when { resource.source == "native" };
@id("test.risky-notes-ask") forbid (principal, action == Action::"invoke_unattended", resource is Tool)
when { context has arguments && context.arguments has note && context.arguments.note == "risky" };
@id("test.no-forbidden-notes") forbid (principal, action, resource is Tool)
when { context has arguments && context.arguments has note && context.arguments.note == "forbidden" };
"""

TABLES = {"workspaces": "[workspaces]\npool_size = 0\n"}


class Stack:
    """Use it as a context: what it started is gone afterwards, its boxes as well.

    `tables` are more tables of `rhone.toml`, by name: one that is there already is replaced.
    """

    def __init__(self, folder: Path, server: TemporalServer, cache: Path, script: str, **tables: str) -> None:
        self.data = folder
        self.server = server
        self.failpoints = folder / "failpoints"
        self.workers: list[Process] = []
        self.runs: list[RunId] = []
        self._cache = cache
        self._script = script
        self._tables = TABLES | tables
        self.counting = CountingTools(folder / "counts")

    async def __aenter__(self) -> Self:
        self.failpoints.mkdir(parents=True)
        (self.data / "signing.key").write_bytes(generate())
        (self.data / "script.toml").write_text(self._script)
        (self.data / "policy.cedar").write_text(POLICY)
        (self.data / "rhone.toml").write_text(CONFIG + "\n" + "\n".join(self._tables.values()))
        migrated.put(self.data / "rhone.db")
        self.database = Database.open(f"sqlite:///{self.data / 'rhone.db'}", self.data / "blobs")
        self.hints = bus_for(self.database.url, self.data / "hints")
        await self.hints.start()
        self.writer = Writer(self.database, self.hints)
        self.tenant, self.admin = await self.writer.commit(principals.bootstrap)
        self.namespace = await self.server.new_namespace()
        self.client: Client = await self.server.client(self.namespace)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.kill()
        if left := self.containers():
            docker("rm", "-f", *left)
        await self.hints.close()
        self.writer.close()
        self.database.close()

    # processes

    async def start_worker(self, **environment: str) -> Process:
        """A worker that polls; several may run side by side."""
        log = self.data / f"worker-{len(self.workers) + 1}.log"
        ours = {
            "RHONE_DATA": str(self.data),
            "RHONE_CACHE": str(self._cache.absolute()),
            "RHONE_CONFIG": str(self.data / "rhone.toml"),
            "RHONE_TEMPORAL_ADDRESS": self.server.address,
            "RHONE_TEMPORAL_NAMESPACE": self.namespace,
            "RHONE_FAILPOINTS": str(self.failpoints),
            "RHONE_REAP_SECONDS": "1",
        }
        worker = nursery().start("worker", log, os.environ | ours | environment)
        self.workers.append(worker)
        ready = f'"queue":"{WORKER_QUEUE}"'
        await until(
            lambda: worker.ended or ready in log.read_text(), 60, f"worker not ready: {log.read_text()}"
        )
        assert not worker.ended, log.read_text()
        return worker

    async def waits_for(self, checkpoint: Checkpoint) -> None:
        """Until the run says that it waits for exactly this."""

        def seen(told: list[Event]) -> bool:
            return any(checkpoint.id in event["checkpoint_ids"] for event in of_type(told, "run.waiting"))

        await self.until(checkpoint.run_id, seen)

    def arm(self, point: Point, *words: str) -> None:
        """The next worker that reaches the point with these words dies there."""
        (self.failpoints / f"{point}.fired").unlink(missing_ok=True)
        (self.failpoints / point).write_text(" ".join(words))

    def fired(self, point: Point) -> bool:
        return (self.failpoints / f"{point}.fired").exists()

    # what a gateway does

    async def create(self, text: str, *, session: SessionId | None = None, **fields: Any) -> RunId:
        """A run, committed as an intent and begun."""
        run_id = await self.intend(text, session=session, **fields)
        await self.begin(run_id)
        return run_id

    async def intend(self, text: str, *, session: SessionId | None = None, **fields: Any) -> RunId:
        request = RunRequest.model_validate({"input": text, "model": "m", **fields})
        run_id = RunId(fresh("run_"))
        session_id = session or SessionId(fresh("sess_"))

        def unit(tx: Tx) -> None:
            if session is None:
                sessions.create(tx, self.tenant, session_id, SessionRequest())
            new = runs.NewRun(
                id=run_id,
                tenant=self.tenant,
                principal_id=self.admin.id,
                session_id=session_id,
                request=request,
                model=request.model or "m",
                limits=patched(Limits(), request.limits),
                blocks=(InputDraft(content=(TextPart(text=text),)),),
            )
            made = runs.create(tx, new)
            assert isinstance(made, runs.Created), made

        await self.writer.commit(unit)
        self.runs.append(run_id)
        return run_id

    async def begin(self, run_id: RunId) -> None:
        await self.client.start_workflow(
            RUN_WORKFLOW,
            RunStart(run_id=run_id),
            id=workflow_id(run_id),
            task_queue=WORKER_QUEUE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
        )
        await self.commit(run_id, lambda tx: runs.mark_queued(tx, run_id))

    async def commit(self, run_id: RunId, unit: Callable[[Tx], T]) -> T:
        return await self.writer.commit(unit, runs=[run_id])

    async def say(self, run_id: RunId, message: Message, *, wake: bool = True) -> None:
        await self.commit(run_id, lambda tx: inbox.say(tx, run_id, message))
        if wake:
            await self.wake(run_id)

    async def wake(self, run_id: RunId) -> None:
        try:
            await self.handle(run_id).signal(WAKE)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def cancel(self, run_id: RunId) -> None:
        await self.say(run_id, Cancel())

    async def raise_limits(self, run_id: RunId, **limits: Any) -> None:
        await self.say(run_id, LimitsRaised(limits=LimitsPatch(**limits)))

    async def send(self, run_id: RunId, text: str) -> None:
        await self.say(run_id, Sent(block_id=await self.keep_words(run_id, text)))

    async def interrupt(
        self, run_id: RunId, behavior: InterruptBehavior = "discard", message: str | None = None
    ) -> None:
        block_id = await self.keep_words(run_id, message) if message else None
        await self.say(run_id, Interrupt(behavior=behavior, block_id=block_id))

    async def keep_words(self, run_id: RunId, text: str) -> BlockId:
        record = await self.record(run_id)

        def unit(tx: Tx) -> BlockId:
            block = InputBlock(
                id=BlockId(fresh("blk_")),
                session_id=record.run.session_id,
                run_id=run_id,
                created_at=tx.now,
                content=(TextPart(text=text),),
            )
            blocks.add(tx, record.history, [block], entered=False)
            tx.append(run_id, InputReceived(blocks=(block,)))
            return block.id

        return await self.commit(run_id, unit)

    async def decide(self, checkpoint: Checkpoint, decision: str, **fields: Any) -> decisions.Outcome:
        verdict = decisions.Verdict.model_validate(
            {"decision": decision, "envelope_digest": checkpoint.envelope_digest, **fields}
        )
        run_id = checkpoint.run_id
        outcome = await self.commit(
            run_id, lambda tx: decisions.decide(tx, self.caller, checkpoint.id, verdict)
        )
        await self.wake(run_id)
        return outcome

    async def submit(
        self, run_id: RunId, execution: ToolExecutionId, result: JSONObject
    ) -> client_tools.Submitted:
        submitted = await self.commit(
            run_id, lambda tx: client_tools.submit(tx, self.caller, run_id, execution, result)
        )
        await self.wake(run_id)
        return submitted

    @property
    def caller(self) -> Caller:
        return Caller(
            tenant=self.tenant,
            principal_id=self.admin.id,
            name="admin",
            roles=self.admin.roles,
            scopes=ALL_SCOPES,
            auth_method="key",
        )

    def handle(self, run_id: RunId) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id(run_id))

    # what is seen

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.database.read(query)

    async def record(self, run_id: RunId) -> RunRecord:
        record = await self.read(lambda connection: runs.load(connection, run_id))
        assert record is not None
        return record

    async def events(self, run_id: RunId) -> list[Event]:
        stored = await self.read(lambda connection: events.page(connection, run_id, 0, 1_000_000))
        return [json.loads(event.data) for event in stored]

    async def until(self, run_id: RunId, seen: Callable[[list[Event]], T | None], within: float = 60) -> T:
        """The first true answer about the run's events."""
        deadline = time.monotonic() + within
        with self.hints.subscribe(("events", run_id)) as grown:
            while True:
                number = grown.number
                told = await self.events(run_id)
                answer = seen(told)
                if answer:
                    return answer
                left = deadline - time.monotonic()
                assert left > 0, f"not seen within {within} s:\n{shown(told)}\n{self.logs()}"
                await grown.wait(number, min(left, 0.5))

    async def told(self, run_id: RunId, kind: str, number: int = 1, within: float = 60) -> Event:
        """The nth event of a type, when it comes."""

        def seen(told: list[Event]) -> Event | None:
            found = [event for event in told if event["type"] == kind]
            return found[number - 1] if len(found) >= number else None

        return await self.until(run_id, seen, within)

    async def ended(self, run_id: RunId, within: float = 60) -> list[Event]:
        """All events of a run, once its terminal one is in."""

        def seen(told: list[Event]) -> list[Event] | None:
            return told if told and told[-1]["type"] in TERMINAL_EVENTS else None

        return await self.until(run_id, seen, within)

    async def checkpoint(self, run_id: RunId, number: int = 1, within: float = 60) -> Checkpoint:
        """The nth checkpoint of a run, when it is opened."""
        opened = await self.told(run_id, "checkpoint.opened", number, within)
        found = await self.read(lambda connection: checkpoints.load(connection, opened["checkpoint_id"]))
        assert found is not None
        return found

    async def waits(self, run_id: RunId, number: int = 1) -> None:
        await self.told(run_id, "run.waiting", number)

    async def ledger(self, run_id: RunId) -> list[EffectRow]:
        return await self.read(lambda connection: effects.list_effects(connection, run_id))

    def counted(self, run: Sequence[Event]) -> list[Counted]:
        """What really happened of a run's tool calls in the counting world."""
        ours = {event["tool_execution_id"] for event in run if event["type"] == "tool_execution.requested"}
        return [one for one in self.counting.executions() if one.execution in ours]

    def containers(self) -> list[str]:
        """The names of this installation's containers, whatever their state."""
        label = self.data / "installation"
        if not label.exists():
            return []
        wanted = f"label=rhone.installation={label.read_text().strip()}"
        return docker("ps", "-a", "--filter", wanted, "--format", "{{.Names}}").split()

    async def box(self, run_id: RunId) -> str:
        """The id of the run's container."""
        box = await self.read(lambda connection: boxes.active(connection, run_id))
        assert box is not None
        return box.place.container_id

    def logs(self) -> str:
        """The last words of the workers, for a test that failed."""
        return "\n".join("\n".join(worker.log.read_text().splitlines()[-15:]) for worker in self.workers)


def docker(*words: str) -> str:
    """What the engine's own client says; nothing where the engine or the thing is away."""
    return subprocess.run(["docker", *words], check=False, capture_output=True, text=True).stdout


def shown(told: Sequence[Event]) -> str:
    """Events as lines for a reader of a failed test."""
    common = {"type", "seq", "run_id", "session_id", "at"}
    return "\n".join(
        f"{event['seq']:>4} {event['type']} "
        + json.dumps({key: value for key, value in event.items() if key not in common})[:200]
        for event in told
    )


def of_type(told: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in told if event["type"] == kind]
