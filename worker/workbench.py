"""Which act serves which tool, and what a person is shown of it."""

from collections.abc import Mapping

from capabilities.catalogue import ASK_USER
from capabilities.egress import environment
from capabilities.envelope import advisory
from capabilities.render import render
from protocol.checkpoint import Envelope
from protocol.digest import canonical
from protocol.errors import Refused
from protocol.ids import RunId
from protocol.target import Offsets
from protocol.tool import ToolExecution
from protocol.workspace import SET_UP
from records import tool_executions
from records.database import Database
from records.writer import Writer
from targets.forge.forges import Forges
from targets.target import Target
from worker.act import Act, Doing, Prepared, Result, failure
from worker.artifact_acts import Keeping
from worker.forge_acts import Hand
from worker.known_runs import KnownRun
from worker.places import Places
from worker.setups import SettingUp, Setups
from worker.sources import Sources
from worker.workspace_acts import Files, Shell

FILE_TOOLS = frozenset({"read_file", "write_file", "edit_file", "glob", "grep"})


class Workbench:
    """The acts of this process."""

    def __init__(
        self,
        places: Places,
        forges: Forges,
        database: Database,
        writer: Writer,
        native: Mapping[str, Act],
        environments: dict[str, dict[str, str]],
        sources: Sources,
    ) -> None:
        self._places = places
        self._forges = forges
        self._database = database
        self._writer = writer
        self._blobs = database.blobs
        self._output = RecordedOutput(database, writer)
        self._native = native
        self._environments = environments
        self._sources = sources

    def is_question(self, execution: ToolExecution) -> bool:
        return execution.source == "native" and execution.tool == ASK_USER

    def act_for(self, known: KnownRun, execution: ToolExecution) -> Act:
        run_id = execution.run_id

        async def target() -> Target:
            return await self._places.target(RunId(run_id))

        if execution.source == "forge":
            return Hand(self._forges, self._blobs, target)
        if execution.source == "target" and execution.tool == "bash":
            return Shell(target, self._output, self._environment(known))
        if execution.source == "target" and execution.tool == SET_UP:
            shell = Shell(target, self._output, self._environment(known))
            return SettingUp(known, target, shell, Setups(self._database, self._writer))
        if execution.source == "target" and execution.tool in FILE_TOOLS:
            return Files(target)
        if execution.source == "target" and execution.tool == "save_artifact":
            return Keeping(target, self._database, self._writer)
        if execution.source == "native" and execution.tool in self._native:
            return self._native[execution.tool]
        if execution.source == "client" or self.is_question(execution):
            return Nothing()
        grant = known.snapshot.grant_for(execution.tool)
        act = self._sources.act(known, grant) if grant else None
        if act is not None:
            return act
        raise Refused("tool.no_body", f"this worker cannot act as {execution.tool!r}")

    def view(self, doing: Doing, envelope: Envelope, prepared: Prepared) -> str:
        """What a person sees, from the digested bytes."""
        return render(
            canonical(envelope),
            advisory=advisory(doing.grant.definition, doing.execution.arguments),
            diff=self._blobs.get(prepared.diff) if prepared.diff else None,
            compensation=doing.grant.definition.compensation,
        )

    def _environment(self, known: KnownRun) -> dict[str, str]:
        plan, target = known.snapshot.document.workspace, known.record.run.target
        own = self._environments.get(target.name, {}) if target else {}
        return {**(own if plan is None else plan.env), **environment(known.snapshot)}


class Nothing:
    """A call that somebody else carries out: there is nothing to prepare, and nothing to do here."""

    async def prepare(self, doing: Doing) -> Prepared:
        return Prepared()

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        return failure("this call is carried out elsewhere")

    async def halt(self, doing: Doing) -> None:
        """Nothing of it runs here."""

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None


class RecordedOutput:
    """Output told as events of the run; the records know how far each stream is."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def told(self, execution: ToolExecution) -> tuple[int, Offsets]:
        """The attempt that is being told, and how far."""
        return await self._database.read(lambda connection: tool_executions.told(connection, execution.id))

    async def append(self, execution: ToolExecution, piece: "tool_executions.ToolOutput", size: int) -> bool:
        return await self._writer.commit(
            lambda tx: tool_executions.append_output(tx, execution.run_id, piece, size),
            runs=[execution.run_id],
        )
