"""Skills as a source of capabilities: pinned by the digest of their files, read out of the blob store."""

import io
import tarfile
from collections.abc import Mapping

from capabilities.catalogue import Catalogue
from capabilities.offer import Missing, Offer, Offered
from capabilities.resources import READ_SKILL_FILE, resource_of
from protocol.capability import Capability, Grant, SkillCapability
from protocol.digest import digest_bytes
from protocol.errors import Refused, TargetRefused, Unavailable
from protocol.front_matter import split_front_matter
from protocol.ids import RunId
from protocol.noun import JSONObject
from protocol.principal import Tenant
from protocol.skill import Skill, SkillFile
from protocol.target import Command, Exit, Offsets
from protocol.tool import ToolDefinition, ToolExecution, ToolSource
from records import skills, snapshots
from records.database import Database
from records.run_record import RunRecord
from records.tx import Tx
from records.writer import Writer
from targets.target import Target
from worker.act import Act, Doing, Prepared, Result, cut, failure
from worker.known_runs import KnownRun
from worker.places import Places

SHELF = "/home/agent/skills"
"""Where a box has the files of loaded skills: outside of the work tree, so that no commit takes them."""

_PUT = r"""
set -eu
umask 022
mkdir -p "$1"
chmod -R u+w "$1"
tar -x -C "$1"
chmod -R a-w "$1"
"""
_PUT_MS = 30_000
_NO_ARGUMENTS: JSONObject = {"type": "object"}


class SkillSource:
    """The skills of the run's project, by `name@version`."""

    kinds = frozenset({"skill"})
    serves: ToolSource = "skill"

    def __init__(self, database: Database, writer: Writer, places: Places, catalogue: Catalogue) -> None:
        self._database = database
        self._writer = writer
        self._places = places
        self._catalogue = catalogue

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        assert isinstance(capability, SkillCapability)
        found = await self._named(record.tenant, capability.ref)
        if found is None:
            reason = f"there is no skill {capability.ref!r}; a version is part of the name"
            return (Missing(name=capability.ref, rule="skill.unknown", reason=reason),)
        offer = Offer(
            kind="skill",
            name=found.ref,
            source_identity="rhone:skills",
            definition=ToolDefinition(
                name=found.ref,
                description=found.description,
                input_schema=_NO_ARGUMENTS,
                source="skill",
                effect="read_only",
            ),
            digest=found.digest,
            attributes={"skill": found.ref},
        )
        return (offer,)

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        return self._catalogue.digest_of(grant.name)

    def act(self, known: KnownRun, grant: Grant) -> Act:
        if grant.kind == "skill":
            raise Refused("tool.no_body", f"{grant.name!r} is a skill, not a tool: load it with load_skill")
        return SkillAct(self, known)

    async def granted(self, known: KnownRun, doing: Doing) -> Skill:
        """The skill that a call names, as it was granted; refused where a row or a digest is another now."""
        grant = resource_of(known.snapshot, doing.grant, doing.execution.arguments)
        if grant is None:
            raise Refused("skill.not_granted", "the call names no skill of this run")
        found = await self._named(known.record.tenant, grant.name)
        if found is None or skills.files_digest(found.files) != grant.definition_digest:
            raise _changed(grant.name)
        return found

    def content(self, skill: Skill, file: SkillFile) -> bytes:
        try:
            return self._database.blobs.get(file.digest)
        except Unavailable as fault:
            if fault.code == "storage.blob_damaged":
                raise _changed(skill.ref, file.path) from fault
            raise

    async def put_in_box(self, known: KnownRun, execution: ToolExecution, skill: Skill) -> str | None:
        """Where the box has the skill's files from now on; None where the run has no box."""
        if known.record.run.target is None:
            return None
        place = f"{SHELF}/{skill.ref}"
        packed = _packed(skill, {file.path: self.content(skill, file) for file in skill.files})
        await _put(await self._places.target(RunId(known.record.run.id)), execution, place, packed)
        return place

    async def note(self, known: KnownRun, skill: Skill) -> None:
        """What was really loaded, as evidence under the snapshot."""
        body: JSONObject = {
            "skill": skill.ref,
            "digest": skill.digest,
            "files": {file.path: file.digest for file in skill.files},
        }

        def unit(tx: Tx) -> None:
            snapshots.add_evidence(tx, known.snapshot.id, "skill", body)

        await self._writer.commit(unit, runs=[known.record.run.id])

    async def _named(self, tenant: Tenant, ref: str) -> Skill | None:
        name, _, version = ref.partition("@")
        return await self._database.read(lambda connection: skills.get(connection, tenant, name, version))


class SkillAct:
    """`load_skill` and `read_skill_file`."""

    def __init__(self, source: SkillSource, known: KnownRun) -> None:
        self._source = source
        self._known = known

    async def prepare(self, doing: Doing) -> Prepared:
        skill = await self._source.granted(self._known, doing)
        if doing.execution.tool != READ_SKILL_FILE:
            return Prepared(files={f"{skill.ref}/{file.path}": file.digest for file in skill.files})
        file = _file(skill, doing)
        return Prepared(files={f"{skill.ref}/{file.path}": file.digest})

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        skill = await self._source.granted(self._known, doing)
        if doing.execution.tool == READ_SKILL_FILE:
            return _shown(self._source.content(skill, _file(skill, doing)))
        for file in skill.files:
            self._source.content(skill, file)
        place = await self._source.put_in_box(self._known, doing.execution, skill)
        await self._source.note(self._known, skill)
        manual = next(file for file in skill.files if file.path == skills.MANUAL)
        return Result(text=cut(_told(skill, self._source.content(skill, manual), place)))

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        """It is over before anybody could stop it."""


def _file(skill: Skill, doing: Doing) -> SkillFile:
    """By its exact path in the manifest: no path of a call ever reaches a file system."""
    asked = str(doing.execution.arguments["path"])
    found = next((file for file in skill.files if file.path == asked), None)
    if found is None:
        names = ", ".join(file.path for file in skill.files)
        raise Refused("skill.no_file", f"{skill.ref} has no file {asked[:200]!r}; it has: {names[:2_000]}")
    return found


def _told(skill: Skill, manual: bytes, place: str | None) -> str:
    _, instructions = split_front_matter(manual.decode())
    parts = [f"Skill {skill.ref}", instructions.strip()]
    others = [f"- {file.path} ({file.size} bytes)" for file in skill.files if file.path != skills.MANUAL]
    if others:
        parts.append("\n".join(["Files, for read_skill_file:", *others]))
    if place is not None:
        parts.append(f"In the workspace the files are in {place}, read-only. Load it again if they are gone.")
    return "\n\n".join(parts)


def _shown(data: bytes) -> Result:
    try:
        return Result(text=cut(data.decode() or "[empty file]"))
    except UnicodeDecodeError:
        return failure(f"skill.not_text: the file is no text: {len(data)} bytes, {digest_bytes(data)}")


def _packed(skill: Skill, files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in skill.files:
            info = tarfile.TarInfo(file.path)
            info.size, info.mode = file.size, 0o555 if file.executable else 0o444
            archive.addfile(info, io.BytesIO(files[file.path]))
    return out.getvalue()


async def _put(target: Target, execution: ToolExecution, place: str, packed: bytes) -> None:
    """Under the execution's own id: a second try finds the command that the first has started."""
    command = Command(argv=("bash", "-c", _PUT, "skill", place), stdin=packed, timeout_ms=_PUT_MS)
    await target.start(execution.id, command)
    async for piece in target.follow(execution.id, Offsets()):
        if isinstance(piece, Exit) and piece.exit_code == 0:
            return
    raise TargetRefused("skill.not_placed", f"the files of the skill could not be put at {place}")


def _changed(ref: str, path: str | None = None) -> Refused:
    what = f"the file {path!r} of {ref}" if path else f"the skill {ref}"
    return Refused("skill.changed", f"{what} is not what it was when the run was granted it")
