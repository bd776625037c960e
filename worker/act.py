"""What an act is: prepared without touching anything, performed once authorized, probed after a crash."""

from typing import Protocol

from protocol.capability import CapabilitySnapshot, Grant
from protocol.checkpoint import PushFacts
from protocol.digest import digest_bytes
from protocol.event import ToolOutput
from protocol.ids import RunId
from protocol.label import Label
from protocol.noun import JSONObject, Noun
from protocol.tool import ToolExecution, ToolOutcome

SHOWN_TO_MODEL = 32 * 1024
PREVIEW = 2_000


class Prepared(Noun):
    """The exact act: what the envelope covers, and `kept`, what performing it needs.

    `diff` names the blob with the diff of a push, which a person is shown.
    """

    cwd: str | None = None
    environment: tuple[str, ...] = ()
    files: dict[str, str] = {}
    push: PushFacts | None = None
    diff: str | None = None
    kept: JSONObject = {}


class Doing(Noun):
    """One tool execution under way. `key` is the same at each try: it names the effect to the outside.
    `definition_digest` is that of the tool as it is now, None where it is gone. `asked` is an act for which
    somebody must agree: what it refers to is pinned as well."""

    execution: ToolExecution
    snapshot: CapabilitySnapshot
    grant: Grant
    timeout_ms: int
    definition_digest: str | None = None
    asked: bool = False

    @property
    def key(self) -> str:
        return self.execution.id


class Untold(Noun):
    """A piece of output that the log does not have yet, and its size in bytes."""

    output: ToolOutput
    size: int


class Result(Noun):
    """What an act came to; `text` is what the model sees, `effect` what a later probe or check needs.

    `untold` is the end of its output: it goes into the log in the commit of the result. `labels` are taint
    that this result brings beyond what its tool always does.
    """

    text: str
    is_error: bool = False
    outcome: ToolOutcome = "succeeded"
    exit_code: int | None = None
    effect: JSONObject = {}
    untold: tuple[Untold, ...] = ()
    labels: tuple[Label, ...] = ()


class Inquiry(Noun):
    """What somebody has to answer before an act goes on. `subject` is what the answer is checked against,
    `prepared` has what going on needs; it expires sooner than other questions where somebody waits."""

    rule: str
    rendered: str
    subject: JSONObject
    prepared: Prepared
    expires_in_ms: int | None = None


class Delegated(Noun):
    """A subrun carries the act out, and its end is the result."""

    child_run_id: RunId


class Act(Protocol):
    """How one kind of tool acts. Faults of class Refused become error results that the model sees."""

    async def prepare(self, doing: Doing) -> Prepared: ...

    async def perform(
        self, doing: Doing, prepared: Prepared, attempt: int
    ) -> Result | Delegated | Inquiry: ...

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        """What an earlier, interrupted try has done to the world; None where it cannot be told."""
        ...

    async def halt(self, doing: Doing) -> None:
        """Make what still runs of it stop: the run was told to. Losing a worker stops nothing."""
        ...


def failure(text: str) -> Result:
    return Result(text=text, is_error=True, outcome="failed")


def cut(text: str, *, limit: int = SHOWN_TO_MODEL) -> str:
    """The head and the tail of a long text, the cut marked with the size and digest of the whole."""
    data = text.encode()
    if len(data) <= limit:
        return text
    half = limit // 2
    head = data[:half].decode(errors="ignore")
    tail = data[-half:].decode(errors="ignore")
    mark = f"\n[... cut: {len(data)} bytes in all, {digest_bytes(data)} ...]\n"
    return head + mark + tail
