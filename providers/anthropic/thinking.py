"""How a call thinks: what it asks for, in the words that its model takes."""

from dataclasses import dataclass

from protocol.model import CallParams
from protocol.noun import JSONObject
from providers.anthropic.models import Traits
from providers.anthropic.params import DefaultParams

_LEAST = 1024
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 32_000}

Notices = list[tuple[str, str]]


@dataclass(frozen=True)
class Thinking:
    """`wire` is None where the field stays away: then the model does as it is made to."""

    wire: JSONObject | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        return self.wire is not None and self.wire["type"] in ("adaptive", "enabled")


def thinking_of(
    asked: CallParams, params: DefaultParams, traits: Traits, *, limit: int, shown: bool, notices: Notices
) -> Thinking:
    """What the call says goes before what the entry says."""
    effort, tokens = asked.reasoning_effort, asked.reasoning_tokens
    if effort is None and tokens is None:
        given = params.thinking
        wire = given and {name: value for name, value in given.model_dump(mode="json").items() if value}
        return Thinking(wire, params.effort)
    if effort == "none" or tokens == 0:
        return off(traits, notices)
    if traits.thinking == "none":
        notices.append(("param_dropped", "this model does not think before it answers"))
        return Thinking()
    if traits.thinking == "budget":
        budget = min(max(tokens, _LEAST), limit - 1) if tokens else min(_BUDGETS[effort or "low"], limit // 2)
        if budget >= _LEAST:
            return Thinking({"type": "enabled", "budget_tokens": budget})
        notices.append(("param_dropped", "the output limit leaves no room to think in"))
        return off(traits, notices)
    if tokens is not None:
        notices.append(("param_dropped", "this model is told an effort, no number of tokens, for reasoning"))
    display: JSONObject = {"display": "summarized"} if shown else {}
    return Thinking({"type": "adaptive", **display}, _level(effort, traits))


def off(traits: Traits, notices: Notices) -> Thinking:
    if traits.always_thinks:
        notices.append(("param_dropped", "this model always thinks: it is asked to do so little"))
        return Thinking(effort="low")
    return Thinking({"type": "disabled"})


def _level(effort: str | None, traits: Traits) -> str | None:
    if effort == "minimal":
        return "low"
    return "high" if effort == "xhigh" and not traits.extra_effort else effort
