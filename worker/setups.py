"""Set-up of a workspace: its commands run once before the first step, and what they made is kept.

What is kept is a tar of what git does not track in the work tree, and of the home folder: a box's root is
read-only and the rest of it is memory, so there is no layer of an image that could hold it. It is found again
by the project, repository and branch, the image, the environment, the commands, and the digests of the lock
files and of the files that the commands name. Only a pristine work tree gives something to keep.
"""

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from protocol.digest import digest, digest_bytes
from protocol.errors import Refused
from protocol.ids import RunId, ToolExecutionId, derived
from protocol.noun import JSONObject
from protocol.tool import ToolExecution
from protocol.workspace import SET_UP, WorkspacePlan
from records import boxes, effects, setups, tool_executions
from records.database import Database
from records.run_record import RunRecord
from records.tool_executions import NewToolExecution
from records.tx import Tx
from records.writer import Writer
from targets.target import Target
from worker import named_files
from worker.act import Doing, Prepared, Result, failure
from worker.known_runs import KnownRun
from worker.lineage import lineage
from worker.workspace_acts import ROOT, Shell, StillOpen

LOCKS = (
    *("requirements*.txt", "constraints*.txt", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"),
    *("pyproject.toml", "setup.py", "setup.cfg", "package.json", "package-lock.json", "npm-shrinkwrap.json"),
    *("yarn.lock", "pnpm-lock.yaml", "go.mod", "go.sum", "Cargo.toml", "Cargo.lock"),
    *("Gemfile", "Gemfile.lock", "composer.json", "composer.lock"),
)
MOST_BYTES = 256 * 1024 * 1024
_MOST_FILES = 500
_FILE = 32 * 1024 * 1024


@dataclass(frozen=True)
class Setups:
    """What set-up made, for every run that would make the same."""

    database: Database
    writer: Writer

    async def files(self, commands: Sequence[str], target: Target) -> dict[str, str]:
        """The files that what set-up makes depends on, each with its digest."""
        files: dict[str, str] = {}
        for command in commands:
            files |= await named_files.digests(target, command, _FILE)
        for name in LOCKS:
            for path in await target.glob(f"**/{name}", limit=_MOST_FILES):
                files[path] = await named_files.digest_of(target, path, _FILE) or named_files.ABSENT
        return files

    async def kept(self, known: KnownRun, made_of: JSONObject) -> bytes | None:
        key = digest(made_of)
        found = await self.database.read(lambda c: setups.get(c, known.record.tenant, key))
        if found is None or not self.database.blobs.has(found):
            return None
        return await asyncio.to_thread(self.database.blobs.get, found)

    async def keep(self, known: KnownRun, made_of: JSONObject, target: Target) -> None:
        """Nothing, where the work tree was not as its repository has it, or where it is too much."""
        run_id = known.record.run.id
        line = await self.database.read(lambda c: lineage(c, run_id))
        packed = await target.pack(limit=MOST_BYTES) if line.tree is None else None
        if packed is None:
            return
        blob = await asyncio.to_thread(self.database.blobs.put, packed)
        new = setups.NewSetup(key=digest(made_of), run_id=run_id, digest=blob, size=len(packed))

        def unit(tx: Tx) -> None:
            """While the call is open no model has done anything in the box."""
            row = tool_executions.get(tx.connection, execution_id_of(run_id))
            if row is not None and row.status == "claimed":
                setups.keep(tx, known.record.tenant, new)

        await self.writer.commit(unit, runs=[run_id])

    async def again(self, known: KnownRun, target: Target, image: str) -> None:
        """In a box that takes the place of another: what was set up there. Commands are never run again here:
        the work tree may hold what a model wrote by now."""
        execution_id = execution_id_of(known.record.run.id)

        def query(connection: Connection) -> tuple[ToolExecution, Prepared] | None:
            row = tool_executions.get(connection, execution_id)
            if row is None or row.status != "completed" or row.is_error:
                return None
            return row, Prepared.model_validate(effects.prepared(connection, execution_id) or {})

        done = await self.database.read(query)
        if done is not None:
            packed = await self.kept(known, made_of(known, *done, image))
            if packed is not None:
                await target.unpack(packed)

    async def image(self, run_id: RunId) -> str:
        box = await self.database.read(lambda c: boxes.active(c, run_id))
        return box.place.image_digest if box else ""


class SettingUp:
    """`set_up_workspace`: the one call that no model makes."""

    def __init__(self, known: KnownRun, target: StillOpen, shell: Shell, setups: Setups) -> None:
        self._known = known
        self._target = target
        self._shell = shell
        self._setups = setups

    async def prepare(self, doing: Doing) -> Prepared:
        if doing.execution.id != execution_id_of(self._known.record.run.id):
            raise Refused("tool.no_body", "the workspace is set up once, before the first step")
        files = await self._setups.files(commands_of(doing.execution), await self._target())
        return Prepared(cwd=ROOT, environment=tuple(sorted(_plan(self._known).env)), files=files)

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        target, run_id = await self._target(), self._known.record.run.id
        makes = made_of(self._known, doing.execution, prepared, await self._setups.image(run_id))
        if doing.execution.status != "claimed":  # else the commands may be running already
            now = await self._setups.files(commands_of(doing.execution), target)
            other = named_files.changed(prepared.files, now)
            if other is not None:
                return failure(f"Not done: files that it depends on changed after the approval: {other}.")
            packed = await self._setups.kept(self._known, makes)
            if packed is not None:
                await target.unpack(packed)
                return Result(text=f"taken from an earlier set-up: {digest_bytes(packed)}")
        result = await self._shell.perform(self._as_shell(doing), Prepared(), attempt)
        if not result.is_error:
            await self._setups.keep(self._known, makes, target)
        return result

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        await self._shell.halt(doing)

    def _as_shell(self, doing: Doing) -> Doing:
        script: JSONObject = {"command": _script(commands_of(doing.execution))}
        execution = doing.execution.model_copy(update={"arguments": script})
        limit = _plan(self._known).setup_timeout_ms
        return doing.model_copy(update={"execution": execution, "timeout_ms": limit})


def made_of(known: KnownRun, execution: ToolExecution, prepared: Prepared, image: str) -> JSONObject:
    """All that what set-up makes depends on; a branch does not take what another one made."""
    repository, target = known.snapshot.document.repository, known.record.run.target
    where = repository.model_dump(include={"forge", "repository", "base_branch"}) if repository else {}
    return {
        "target": target.name if target else "",
        "where": where,
        "image": image,
        "env": dict(_plan(known).env),
        "commands": list(commands_of(execution)),
        "files": dict(prepared.files),
    }


def commands_of(execution: ToolExecution) -> tuple[str, ...]:
    commands = execution.arguments.get("commands")
    return tuple(map(str, commands)) if isinstance(commands, list) else ()


def execution_of(record: RunRecord, plan: WorkspacePlan) -> NewToolExecution:
    """The call of the set-up, in the step before the first."""
    run = record.run
    return NewToolExecution(
        id=execution_id_of(run.id),
        run_id=run.id,
        session_id=run.session_id,
        step=0,
        ordinal=0,
        tool_call_id=SET_UP,
        tool=SET_UP,
        source="target",
        effect="workspace",
        arguments={"commands": list(plan.setup)},
    )


def execution_id_of(run_id: RunId) -> ToolExecutionId:
    return ToolExecutionId(derived("tool_", run_id, 0, SET_UP))


def _script(commands: Sequence[str]) -> str:
    """Each in a shell of its own, shown before it runs, until one fails."""
    lines = (f"printf '+ %s\\n' {shlex.quote(one)}\nbash -c {shlex.quote(one)} || exit" for one in commands)
    return "\n".join(lines)


def _plan(known: KnownRun) -> WorkspacePlan:
    return known.snapshot.document.workspace or WorkspacePlan()
