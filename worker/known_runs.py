"""What this process knows of the runs that it works for: the fixed part is read once, the rest each time."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from capabilities.signing import TrustedKey
from capabilities.snapshot import NotVerified, verify_any
from capabilities.verdict import Asker
from protocol.capability import CapabilitySnapshot
from protocol.checkpoint import Checkpoint
from protocol.effect import EffectRow
from protocol.errors import Refused
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.noun import JSON
from protocol.tool import ToolDefinition, ToolExecution
from records import checkpoints, client_tools, effects, principals, runs, snapshots, taints, tool_executions
from records.database import Database, now
from records.run_record import RunRecord
from worker.act import Prepared

KEPT = 2_000


@dataclass(frozen=True)
class KnownRun:
    """The part of a run that does not change after it was opened; `record` is as it was read then."""

    record: RunRecord
    snapshot: CapabilitySnapshot
    tools: dict[str, ToolDefinition]


@dataclass(frozen=True)
class Standing:
    """Where one tool call stands: its row, its ledger, who it waited for, and the taint of what the model
    has read; `now` is the database's clock. `alone` where whoever held what the call goes on in is gone."""

    execution: ToolExecution
    checkpoint: Checkpoint | None
    effect: EffectRow | None
    prepared: Prepared | None
    submitted: JSON
    roles: tuple[str, ...]
    now: datetime
    labels: tuple[str, ...] = ()
    alone: bool = False


def asker_of(connection: Connection, known: KnownRun) -> Asker:
    """The principal of a run with the roles that it has now."""
    roles = principals.roles_of(connection, known.record.principal_id)
    return Asker(id=known.snapshot.document.principal, roles=roles, project=known.record.tenant.project_id)


class KnownRuns:
    """Reads of the records by the bodies of the ports."""

    def __init__(self, database: Database, keys: Mapping[str, TrustedKey]) -> None:
        self._database = database
        self._keys = keys
        self._known: OrderedDict[RunId, KnownRun] = OrderedDict()

    async def get(self, run_id: RunId) -> KnownRun:
        known = self._known.get(run_id)
        if known is None:
            known = self._known[run_id] = await self._read(run_id)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(run_id)
        return known

    async def record(self, run_id: RunId) -> RunRecord:
        record = await self._database.read(lambda connection: runs.load(connection, run_id))
        if record is None:
            raise Refused("run.unknown", f"there is no run {run_id}")
        return record

    async def standing(
        self, known: KnownRun, execution_id: ToolExecutionId, checkpoint_id: CheckpointId | None
    ) -> Standing:
        """Where a tool call stands, in one read. Who it waits for now beats who it was asked about."""

        def query(connection: Connection) -> Standing | None:
            execution = tool_executions.get(connection, execution_id)
            if execution is None:
                return None
            waits = execution.status == "waiting"
            asked = execution.checkpoint_id if waits else checkpoint_id or execution.checkpoint_id
            begun = execution.status != "requested" or execution.attempt > 0
            effect = effects.get(connection, execution_id) if begun else None
            prepared = effects.prepared(connection, execution_id) if effect else None
            return Standing(
                execution=execution,
                checkpoint=checkpoints.load(connection, asked) if asked else None,
                effect=effect,
                prepared=Prepared.model_validate(prepared) if prepared is not None else None,
                submitted=client_tools.result_of(connection, execution_id) if asked else None,
                roles=principals.roles_of(connection, known.record.principal_id),
                now=now(connection),
                labels=taints.of_history(connection, known.record.history),
            )

        found = await self._database.read(query)
        if found is None:
            raise Refused("tool.unknown_execution", f"there is no tool execution {execution_id}")
        return found

    async def _read(self, run_id: RunId) -> KnownRun:
        record = await self.record(run_id)
        snapshot_id = record.run.capability_snapshot_id
        if snapshot_id is None:
            raise Refused("run.not_opened", f"{run_id} has no capability snapshot yet")
        snapshot = await self._database.read(lambda connection: snapshots.load(connection, snapshot_id))
        if snapshot is None:
            raise Refused("capability.snapshot_missing", f"the snapshot {snapshot_id} is not there")
        checked = verify_any(snapshot, self._keys)
        if isinstance(checked, NotVerified):
            raise Refused("capability.snapshot_invalid", f"{snapshot_id}: {checked.reason}")
        tools = {grant.name: grant.definition for grant in snapshot.document.grants}
        return KnownRun(record=record, snapshot=snapshot, tools=tools)
