"""The inbox of a run: everything that is said to it from outside, a committed row each."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.ids import CheckpointId, RunId
from protocol.noun import Noun
from protocol.run import LimitsPatch

InterruptBehavior = Literal["discard", "save_partial", "save_marked"]


class CheckpointResolved(Noun):
    """A checkpoint left the state `open`, or stays so until another moment; its row tells which."""

    kind: Literal["checkpoint"] = "checkpoint"
    checkpoint_id: CheckpointId


class Sent(Noun):
    """The user steers: the block is already committed under `block_id` and enters at the next step."""

    kind: Literal["send"] = "send"
    block_id: str


class Interrupt(Noun):
    kind: Literal["interrupt"] = "interrupt"
    behavior: InterruptBehavior
    block_id: str | None = None


class Cancel(Noun):
    kind: Literal["cancel"] = "cancel"
    reason: str | None = None


class LimitsRaised(Noun):
    kind: Literal["limits"] = "limits"
    limits: LimitsPatch


class SubrunWaits(Noun):
    """A subrun can do nothing until somebody answers these; without any it goes on."""

    kind: Literal["subrun_waits"] = "subrun_waits"
    child_run_id: RunId
    checkpoint_ids: tuple[CheckpointId, ...] = ()


class SubrunEnded(Noun):
    kind: Literal["subrun_ended"] = "subrun_ended"
    child_run_id: RunId


Message = Annotated[
    CheckpointResolved | Sent | Interrupt | Cancel | LimitsRaised | SubrunWaits | SubrunEnded,
    Field(discriminator="kind"),
]


class InboxItem(Noun):
    """`position` is 1..n per run."""

    position: int
    message: Message
