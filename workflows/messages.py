"""What crosses between the story and the bodies: ids, digests and small facts, never a body."""

from typing import Annotated, Literal

from pydantic import Field

from harness.state import Ending, PendingCall, RunState
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.inbox import InboxItem, InterruptBehavior
from protocol.noun import Noun


class RunStart(Noun):
    """The input of the workflow; `state` is there when it continues as new, `parent_run_id` in a subrun's."""

    run_id: RunId
    state: RunState | None = None
    idle_release_s: int = 300
    parent_run_id: RunId | None = None


class RunRef(Noun):
    run_id: RunId


class Opened(Noun):
    """The run is claimed and its capabilities are resolved. `said` where words were waiting for it: their
    wake-up may have come before there was anybody to wake."""

    kind: Literal["opened"] = "opened"
    state: RunState
    idle_release_s: int
    said: bool = False


class NotOpened(Noun):
    """The run cannot be built as asked; `ending` is None where it is not ours to tell (ended, abandoned)."""

    kind: Literal["not_opened"] = "not_opened"
    ending: Ending | None


Opening = Annotated[Opened | NotOpened, Field(discriminator="kind")]


class Placed(Noun):
    kind: Literal["placed"] = "placed"
    queue: str
    generation: int


class NotPlaced(Noun):
    kind: Literal["not_placed"] = "not_placed"
    ending: Ending


Placing = Annotated[Placed | NotPlaced, Field(discriminator="kind")]


class ModelTurn(Noun):
    run_id: RunId
    step: int
    completes: int | None = None
    incoming: tuple[str, ...] = ()


class TurnDone(Noun):
    kind: Literal["done"] = "done"
    calls: tuple[PendingCall, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0
    finish: Literal["end", "cut", "refused"] = "end"


class TurnFailed(Noun):
    kind: Literal["failed"] = "failed"
    ending: Ending


class TurnStopped(Noun):
    """An interrupt or a cancel from the inbox reached the call."""

    kind: Literal["stopped"] = "stopped"


class TurnAsked(Noun):
    """The call was not made: it would pass a budget, and somebody is asked."""

    kind: Literal["asked"] = "asked"
    checkpoint_id: CheckpointId
    expires_at: str


class TurnOver(Noun):
    """The call was not made, or its answer not taken: the run ends here, and not by a fault."""

    kind: Literal["over"] = "over"
    ending: Ending


TurnResult = Annotated[
    TurnDone | TurnFailed | TurnStopped | TurnAsked | TurnOver, Field(discriminator="kind")
]


class ToolAct(Noun):
    """One tool execution to prepare, gate, claim, act on and commit. `alone` where nobody takes it up any
    more at the queue of an ActHeld."""

    run_id: RunId
    tool_execution_id: ToolExecutionId
    alone: bool = False


class ToolRedeem(ToolAct):
    """A tool execution whose checkpoint is resolved: spend the answer, whatever it is."""

    checkpoint_id: CheckpointId


class ActDone(Noun):
    """`ending` where the run cannot go on after it."""

    kind: Literal["done"] = "done"
    wrote: bool = False
    ending: Ending | None = None


class ActAsked(Noun):
    kind: Literal["asked"] = "asked"
    checkpoint_id: CheckpointId
    expires_at: str


class ActStopped(Noun):
    """An interrupt or a cancel reached the tool; its result is told when the run takes that up."""

    kind: Literal["stopped"] = "stopped"


class ActLost(Noun):
    """The box is gone."""

    kind: Literal["lost"] = "lost"


class ActSpawned(Noun):
    """A subrun stands in the records and carries the call out: its end is the call's."""

    kind: Literal["spawned"] = "spawned"
    child_run_id: RunId


class ActHeld(Noun):
    """What the call goes on in is held by another process: that one polls this queue."""

    kind: Literal["held"] = "held"
    queue: str


ActResult = Annotated[
    ActDone | ActAsked | ActStopped | ActLost | ActSpawned | ActHeld, Field(discriminator="kind")
]


class StepRef(Noun):
    run_id: RunId
    step: int


class TreeSaved(Noun):
    kind: Literal["saved"] = "saved"


class TreeLost(Noun):
    kind: Literal["lost"] = "lost"


TreeResult = Annotated[TreeSaved | TreeLost, Field(discriminator="kind")]


class Listen(Noun):
    run_id: RunId
    after: int


class Heard(Noun):
    items: tuple[InboxItem, ...]


class Pause(Noun):
    """The run waits for somebody; a parent of its own is told."""

    run_id: RunId
    checkpoint_ids: tuple[CheckpointId, ...]
    parent_run_id: RunId | None = None


class Resume(Noun):
    """The run waits for nobody any more; a parent of its own is told. `by_call` where the model call that
    comes next records it, with what else that settles."""

    run_id: RunId
    parent_run_id: RunId | None = None
    by_call: bool = False


class ExpiryCheck(Noun):
    run_id: RunId
    checkpoint_id: CheckpointId


class Expiry(Noun):
    """`expires_at` is there while the checkpoint is still open (it was deferred, or the clocks differ)."""

    resolved: bool
    expires_at: str | None = None


class InterruptOrder(Noun):
    run_id: RunId
    step: int
    behavior: InterruptBehavior
    block_id: str | None = None


class RunEnd(Noun):
    run_id: RunId
    step: int
    ending: Ending


class Look(Noun):
    """A look into a run's saved work tree: one file of it, or without a path its diff from the base."""

    run_id: RunId
    path: str | None = None


class Looked(Noun):
    """What was seen lies in the blob store; `code` and `message` where there is nothing to be seen."""

    blob: str | None = None
    code: str | None = None
    message: str | None = None
