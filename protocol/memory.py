"""Memory: what outlives a run, by scope and key, with where it came from; and the port to its keeper."""

from typing import Annotated, Literal, Protocol

from pydantic import Field

from protocol.ids import PrincipalId, RunId, SessionId, ToolExecutionId
from protocol.label import Label
from protocol.noun import Moment, Noun
from protocol.principal import Tenant
from protocol.secret import SecretRef

MemoryScope = Literal["user", "project", "session"]
MemoryKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$")]
LONGEST_TEXT = 16_384
MemoryText = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class MemoryEntry(Noun):
    """`[memory]` of `rhone.toml`: another keeper, spoken to over HTTP. Without it the records keep memory."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    apiKeyRef: SecretRef  # noqa: N815  the file's own spelling


class MemoryPlace(Noun):
    """Whose memory: `owner` is a person, a session, or empty for the project's own."""

    tenant: Tenant
    scope: MemoryScope
    owner: str = ""


class Provenance(Noun):
    """Who wrote it: a run's tool execution, or without these a principal over the API."""

    principal_id: PrincipalId
    run_id: RunId | None = None
    session_id: SessionId | None = None
    tool_execution_id: ToolExecutionId | None = None


class MemoryRecord(Noun):
    """The newest version under a key; `labels` are the taint of whoever wrote it."""

    scope: MemoryScope
    key: MemoryKey
    text: str
    version: int
    labels: tuple[Label, ...] = ()
    provenance: Provenance
    created_at: Moment
    expires_at: Moment | None = None


class Found(Noun):
    """A page of records; `next_cursor` is the keeper's own, None behind the last page."""

    records: tuple[MemoryRecord, ...]
    next_cursor: str | None = None


class MemoryDraft(Noun):
    """A version to be written. `expected` is the version that it replaces (0: there is none), None for any.
    Under one `effect_key` it is written once."""

    key: MemoryKey
    text: MemoryText
    labels: tuple[Label, ...] = ()
    provenance: Provenance
    expires_in_s: Annotated[int, Field(ge=1, le=10 * 366 * 24 * 3600)] | None = None
    expected: Annotated[int, Field(ge=0)] | None = None
    effect_key: str | None = None


class Removal(Noun):
    """A key to be forgotten; `expected` and `effect_key` as in a draft."""

    key: MemoryKey
    provenance: Provenance
    expected: Annotated[int, Field(ge=1)] | None = None
    effect_key: str | None = None


class Written(Noun):
    """`repeated` where an earlier try under the same effect key has written it."""

    kind: Literal["written"] = "written"
    record: MemoryRecord
    repeated: bool = False


class Forgotten(Noun):
    """The text is gone; a tombstone with this version stays."""

    kind: Literal["forgotten"] = "forgotten"
    version: int


class Stale(Noun):
    """Nothing was changed: another version is there than the one that was expected; 0 for none."""

    kind: Literal["stale"] = "stale"
    version: int


class Absent(Noun):
    """There is nothing under the key."""

    kind: Literal["absent"] = "absent"


class MemoryStore(Protocol):
    """Whoever keeps memory. What has expired is as if it were not there; nobody sees another's place."""

    @property
    def identity(self) -> str:
        """Names the keeper, without spaces."""
        ...

    async def search(self, place: MemoryPlace, query: str, limit: int, cursor: str | None = None) -> Found:
        """Records with a word that begins like one of the query's, best first; without words the newest."""
        ...

    async def read(self, place: MemoryPlace, key: str) -> MemoryRecord | None: ...

    async def write(self, place: MemoryPlace, draft: MemoryDraft) -> Written | Stale: ...

    async def delete(self, place: MemoryPlace, removal: Removal) -> Forgotten | Stale | Absent: ...
