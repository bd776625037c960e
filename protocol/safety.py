"""Safety profiles: rules that look at what goes into a run, what its tools are asked, and what comes out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.ids import RunId
from protocol.noun import Moment, Noun

Stage = Literal["input", "tool", "output"]
Detector = Literal["secrets", "injection", "pii", "webhook"]
Disposition = Literal["allow", "allow_with_warning", "checkpoint", "block"]

STRICTEST: tuple[Disposition, ...] = ("allow", "allow_with_warning", "checkpoint", "block")


class SafetyRule(Noun):
    """What is done where a detector finds something. `actors` narrows it to sessions of these actors.

    A `webhook` is asked at `url`, and what it does not answer in time counts as blocked.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    stage: Stage
    detector: Detector
    disposition: Disposition
    actors: tuple[str, ...] = ()
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    timeout_ms: Annotated[int, Field(ge=10, le=30_000)] = 2_000

    @model_validator(mode="after")
    def _fits(self) -> "SafetyRule":
        if (self.detector == "webhook") != (self.url is not None):
            raise ValueError("`url` goes with the detector `webhook`, and only with it")
        if self.disposition == "checkpoint" and self.stage != "tool":
            raise ValueError("`checkpoint` goes with the stage `tool` only")
        return self


class SafetyProfile(Noun):
    rules: tuple[SafetyRule, ...] = ()


class SafetyDecision(Noun):
    """What one rule decided about one text, which is named by its digest; never changed."""

    run_id: RunId
    stage: Stage
    subject: str
    rule: str
    profile: str
    disposition: Disposition
    reasons: tuple[str, ...]
    text_digest: str
    at: Moment


DEFAULT = SafetyProfile(
    rules=(
        SafetyRule(
            name="injection-markers", stage="tool", detector="injection", disposition="allow_with_warning"
        ),
    )
)
"""What every run gets where no profile `default` is declared."""
