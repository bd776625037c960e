"""Effects: the ledger's row for one attempt to change the outside world."""

from typing import Literal

from protocol.ids import RunId, ToolExecutionId
from protocol.noun import JSONObject, Moment, Noun
from protocol.tool import Effect

EffectState = Literal["intent", "claimed", "succeeded", "failed", "unknown"]


class EffectRow(Noun):
    """Keyed by its tool execution. `epoch` grows by one per claim; an outcome is written only by the epoch
    that holds the claim, so a zombie's late word changes nothing. `result` keeps what a probe needs.
    `evidence_digest` names what was materialized last when it was claimed."""

    tool_execution_id: ToolExecutionId
    run_id: RunId
    effect: Effect
    state: EffectState
    epoch: int
    envelope_digest: str
    evidence_digest: str | None = None
    result: JSONObject | None = None
    claimed_at: Moment | None = None
    settled_at: Moment | None = None


class Claimed(Noun):
    """`again` where an earlier claim has no outcome: whoever held it may have acted."""

    epoch: int
    again: bool = False


class AlreadySettled(Noun):
    row: EffectRow


class ClaimLost(Noun):
    """Somebody else holds a later epoch, the run has ended, or the approval is not there to be spent."""

    reason: str


Claim = Claimed | AlreadySettled | ClaimLost
