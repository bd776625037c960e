"""Memory as a source of capabilities: one scope of one owner for each grant, pinned when it is resolved."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from capabilities.catalogue import definition_digest
from capabilities.memory import memory_tools, verb_of
from capabilities.offer import Offer, Offered
from protocol.capability import Capability, Grant, MemoryCapability
from protocol.errors import Refused
from protocol.label import Label
from protocol.memory import (
    Absent,
    Forgotten,
    MemoryDraft,
    MemoryPlace,
    MemoryRecord,
    MemoryScope,
    MemoryStore,
    Provenance,
    Removal,
    Stale,
    Written,
)
from protocol.noun import JSONObject, rfc3339
from protocol.tool import ToolSource
from records import sessions, taints
from records.database import Database
from records.run_record import RunRecord
from worker.act import Act, Doing, Prepared, Result, cut, failure
from worker.known_runs import KnownRun
from worker.untrusted import framed

_LABELS: TypeAdapter[tuple[Label, ...]] = TypeAdapter(tuple[Label, ...])
FOUND = 10
SHOWN_OF_EACH = 2_000


class MemorySource:
    """Whose memory it is stands in the grant: neither the model nor a later change can choose another."""

    kinds = frozenset({"memory"})
    serves: ToolSource = "memory"

    def __init__(self, store: MemoryStore, database: Database) -> None:
        self._store = store
        self._database = database

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        assert isinstance(capability, MemoryCapability)
        owner = await self._owner(record, capability.scope)
        return tuple(
            Offer(
                kind="memory",
                name=definition.name,
                source_identity=f"{self._store.identity} {owner}",
                definition=definition,
                digest=definition_digest(definition),
                attributes={"scope": capability.scope},
            )
            for definition in memory_tools(capability)
        )

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        """Ours by name; gone where another keeper is configured than the one that was granted."""
        scope = _scope(grant)
        every = memory_tools(MemoryCapability(kind="memory", scope=scope, access="write"))
        if not grant.source_identity.startswith(f"{self._store.identity} "):
            return None
        return next((definition_digest(one) for one in every if one.name == grant.name), None)

    def act(self, known: KnownRun, grant: Grant) -> Act:
        owner = grant.source_identity.partition(" ")[2]
        place = MemoryPlace(tenant=known.record.tenant, scope=_scope(grant), owner=owner)
        return MemoryAct(self._store, self._database, known, place)

    async def _owner(self, record: RunRecord, scope: MemoryScope) -> str:
        if scope == "project":
            return ""
        session_id = record.run.session_id
        if scope == "session":
            return session_id
        session = await self._database.read(lambda c: sessions.get(c, record.tenant, session_id))
        actor = session.actor_id if session else None
        return f"actor:{actor}" if actor else f"principal:{record.principal_id}"


class MemoryAct:
    """`memory_*`: what it writes carries who, which run and which call wrote it, and the labels of all that
    the run had seen by then; whoever reads it takes these on."""

    def __init__(self, store: MemoryStore, database: Database, known: KnownRun, place: MemoryPlace) -> None:
        self._store = store
        self._database = database
        self._known = known
        self._place = place

    async def prepare(self, doing: Doing) -> Prepared:
        return Prepared()

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        match verb_of(doing.execution.tool):
            case "search":
                return await self._search(doing)
            case "read":
                return await self._read(doing)
            case "write":
                return await self._write(doing)
            case "delete":
                return await self._delete(doing)
            case _:
                raise Refused("tool.no_body", f"memory has no tool {doing.execution.tool!r}")

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        """It is over before anybody could stop it."""

    async def _search(self, doing: Doing) -> Result:
        arguments = doing.execution.arguments
        limit = _number(doing, "limit") or FOUND
        found = (await self._store.search(self._place, str(arguments["query"]), limit)).records
        if not found:
            return Result(text="Nothing was found.")
        shown = "\n\n".join(_told(record, SHOWN_OF_EACH) for record in found)
        return Result(text=cut(framed(self._name, shown)), labels=_labels(found))

    async def _read(self, doing: Doing) -> Result:
        key = str(doing.execution.arguments["key"])
        found = await self._store.read(self._place, key)
        if found is None:
            return failure(f"There is no record {key!r}.")
        shown = framed(self._name, _told(found, len(found.text)))
        return Result(text=cut(shown), labels=_labels([found]))

    async def _write(self, doing: Doing) -> Result:
        arguments = doing.execution.arguments
        draft = MemoryDraft(
            key=str(arguments["key"]),
            text=str(arguments["text"]),
            labels=await self._tainted(),
            provenance=self._provenance(doing),
            expires_in_s=_number(doing, "expires_in_s"),
            expected=_number(doing, "version"),
            effect_key=doing.key,
        )
        match await self._store.write(self._place, draft):
            case Written(record=record):
                effect: JSONObject = {"key": record.key, "version": record.version}
                return Result(text=f"Written as version {record.version} of {record.key!r}.", effect=effect)
            case Stale(version=version):
                return _stale(draft.key, version)

    async def _delete(self, doing: Doing) -> Result:
        removal = Removal(
            key=str(doing.execution.arguments["key"]),
            provenance=self._provenance(doing),
            expected=_number(doing, "version"),
            effect_key=doing.key,
        )
        match await self._store.delete(self._place, removal):
            case Forgotten(version=version):
                return Result(text=f"Forgotten: {removal.key!r}.", effect={"version": version})
            case Stale(version=version):
                return _stale(removal.key, version)
            case Absent():
                return failure(f"There is no record {removal.key!r}.")

    async def _tainted(self) -> tuple[Label, ...]:
        history = self._known.record.history
        return _LABELS.validate_python(await self._database.read(lambda c: taints.of_history(c, history)))

    def _provenance(self, doing: Doing) -> Provenance:
        record = self._known.record
        return Provenance(
            principal_id=record.principal_id,
            run_id=record.run.id,
            session_id=record.run.session_id,
            tool_execution_id=doing.execution.id,
        )

    @property
    def _name(self) -> str:
        return f"the {self._place.scope} memory"


def _scope(grant: Grant) -> MemoryScope:
    match grant.attributes.get("scope"):
        case "user" | "project" | "session" as scope:
            return scope
        case _:
            raise Refused("memory.not_granted", f"{grant.name!r} is granted without a scope")


def _labels(records: Sequence[MemoryRecord]) -> tuple[Label, ...]:
    return tuple(sorted({label for record in records for label in record.labels}))


def _number(doing: Doing, name: str) -> int | None:
    value = doing.execution.arguments.get(name)
    return value if isinstance(value, int) else None


def _stale(key: str, version: int) -> Result:
    there = f"its version is {version}" if version else "there is none"
    return failure(f"Nothing was changed: {key!r} is not what you expected, {there}. Read it again.")


def _told(record: MemoryRecord, most: int) -> str:
    """A record with where it came from: a reader judges a text by that."""
    of = record.provenance
    by = (
        f"run {of.run_id}, call {of.tool_execution_id}, for {of.principal_id}"
        if of.run_id
        else of.principal_id
    )
    labels = ", ".join(record.labels) or "none"
    text = record.text if len(record.text) <= most else f"{record.text[:most]} [... read it for the rest]"
    origin = f"version {record.version}, written {rfc3339(record.created_at)} by {by}, labels: {labels}"
    return f"{record.key} ({origin})\n{text}"
