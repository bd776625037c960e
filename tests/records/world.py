"""What most tests start from: a tenant, a session and runs in it, on whichever engine."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, update

from protocol.block import InputDraft, TextPart
from protocol.checkpoint import Checkpoint, CheckpointKind, CheckpointStatus
from protocol.digest import digest
from protocol.ids import CheckpointId, PrincipalId, RunId, SessionId, ToolExecutionId, fresh
from protocol.principal import Caller, Tenant
from protocol.run import Limits, RunRequest
from protocol.session import SessionRequest
from protocol.tool import ToolSource
from records import checkpoints, decisions, events, principals, runs, sessions, tool_executions
from records.database import Database
from records.decisions import Verdict
from records.run_record import RunRecord
from records.tables import checkpoints as checkpoint_table
from records.tx import Tx
from records.writer import Writer

T = TypeVar("T")
ENVELOPE = digest({"the": "envelope"})
APPROVE = Verdict(decision="approve", envelope_digest=ENVELOPE, reason="fine")


class World:
    def __init__(self, database: Database, writer: Writer, tenant: Tenant, session_id: SessionId) -> None:
        self.database = database
        self.writer = writer
        self.tenant = tenant
        self.session_id = session_id

    @classmethod
    async def make(cls, database: Database, writer: Writer) -> "World":
        tenant, _ = await writer.commit(principals.bootstrap)
        world = cls(database, writer, tenant, SessionId(""))
        world.session_id = await world.session()
        return world

    async def commit(self, unit: Callable[[Tx], T], *run_ids: RunId) -> T:
        return await self.writer.commit(unit, runs=run_ids)

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self.database.read(query)

    async def session(self, **fields: Any) -> SessionId:
        new = SessionId(fresh("sess_"))
        made = await self.commit(lambda tx: sessions.create(tx, self.tenant, new, SessionRequest(**fields)))
        assert isinstance(made, sessions.SessionCreated)
        return new

    async def run(self, *, session_id: SessionId | None = None, claimed: bool = True, **fields: Any) -> RunId:
        """A run, taken up by a worker where nothing else is said."""
        new = self.new_run(session_id=session_id, **fields)
        made = await self.commit(lambda tx: runs.create(tx, new))
        assert isinstance(made, runs.Created), made
        if claimed:
            assert await self.commit(lambda tx: runs.claim(tx, new.id), new.id) is not None
        return new.id

    async def several_runs(self, number: int) -> list[RunId]:
        """Runs in sessions of their own."""
        return [await self.run(session_id=await self.session()) for _ in range(number)]

    def new_run(self, *, session_id: SessionId | None = None, **fields: Any) -> runs.NewRun:
        request = RunRequest(**{"input": "Fix the test", **fields})
        draft = InputDraft(content=(TextPart(text=request.input or ""),))
        return runs.NewRun(
            id=RunId(fresh("run_")),
            tenant=self.tenant,
            principal_id=PrincipalId("prin_admin"),
            session_id=session_id or self.session_id,
            request=request,
            model="local/m1",
            limits=Limits(),
            blocks=(draft,),
        )

    async def record(self, run_id: RunId) -> RunRecord:
        found = await self.read(lambda connection: runs.load(connection, run_id))
        assert found is not None
        return found

    async def log(self, run_id: RunId, after: int = 0) -> list[dict[str, Any]]:
        """All that the stream tells, decoded."""
        stored = await self.read(lambda connection: events.page(connection, run_id, after, 100_000))
        return [orjson.loads(event.data) for event in stored]

    async def types(self, run_id: RunId) -> list[str]:
        return [event["type"] for event in await self.log(run_id)]

    async def tool(self, run_id: RunId, *, source: ToolSource = "native", **fields: Any) -> ToolExecutionId:
        """A tool execution as the model asked for it."""
        record = await self.record(run_id)
        new = tool_executions.NewToolExecution(
            id=ToolExecutionId(fresh("tool_")),
            run_id=run_id,
            session_id=record.run.session_id,
            step=1,
            tool_call_id="c1",
            effect="non_idempotent_write",
            source=source,
            **{"ordinal": 0, "tool": "send_mail", "arguments": {"to": "you"}, **fields},
        )
        assert await self.commit(lambda tx: tool_executions.request(tx, new), run_id)
        return new.id

    async def checkpoint(
        self,
        run_id: RunId,
        execution: ToolExecutionId | None = None,
        *,
        kind: CheckpointKind = "approval",
        expires_in_ms: int = 60_000,
        **fields: Any,
    ) -> Checkpoint:
        record = await self.record(run_id)
        new = checkpoints.NewCheckpoint(
            id=CheckpointId(fresh("ckpt_")),
            tenant=self.tenant,
            run_id=run_id,
            session_id=record.run.session_id,
            kind=kind,
            tool="send_mail",
            tool_execution_id=execution,
            envelope_digest=ENVELOPE if kind == "approval" else None,
            rendered="send a mail to you",
            requested_by="prin_admin",
            expires_in_ms=expires_in_ms,
            **fields,
        )

        def unit(tx: Tx) -> Checkpoint | None:
            if execution is not None:
                tool_executions.wait(tx, execution, new.id)
            return checkpoints.open_checkpoint(tx, new)

        opened = await self.commit(unit, run_id)
        assert opened is not None
        return opened

    async def decide(
        self, checkpoint_id: CheckpointId, run_id: RunId, verdict: Verdict, who: str = "ann", *roles: str
    ) -> decisions.Outcome:
        caller = self.caller(who, roles)
        return await self.commit(lambda tx: decisions.decide(tx, caller, checkpoint_id, verdict), run_id)

    async def overdue(self, checkpoint_id: CheckpointId) -> None:
        """The deadline has just passed."""

        def unit(tx: Tx) -> None:
            late = update(checkpoint_table).where(checkpoint_table.c.id == checkpoint_id)
            tx.connection.execute(late.values(expires_at=tx.now - timedelta(milliseconds=1)))

        await self.commit(unit)

    async def status(self, checkpoint_id: CheckpointId) -> CheckpointStatus:
        found = await self.read(lambda connection: checkpoints.load(connection, checkpoint_id))
        assert found is not None
        return found.status

    def caller(self, name: str = "ann", roles: Sequence[str] = ()) -> Caller:
        return Caller(
            tenant=self.tenant,
            principal_id=PrincipalId(f"prin_{name}"),
            name=name,
            roles=tuple(roles),
            scopes=("decide",),
            auth_method="api_key",
        )


def gapless(log: Sequence[dict[str, Any]]) -> bool:
    return [event["seq"] for event in log] == list(range(1, len(log) + 1))
