"""How hard a model thinks: a level, or a number of tokens for those that know no levels."""

import re

from protocol.model import CallParams
from protocol.noun import JSONObject
from providers.gemini.params import ThinkingConfig

Notices = list[tuple[str, str]]

_BUDGETED = re.compile(r"gemini-2\.5")
_PRO = re.compile(r"gemini-2\.5-pro")
_OLD = re.compile(r"gemini-(1|2)\b")
_BUDGETS = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_PRO_BUDGETS = {"none": 128, "xhigh": 32_768, "max": 32_768}
_LEVELS = {"none": "minimal", "max": "xhigh"}


def signs(model: str) -> bool:
    """Whether the model refuses a function call of its history that nobody signed; so do all from 3 on."""
    return "gemini-" in model and _OLD.search(model) is None


def thinking_of(
    model: str, asked: CallParams, default: ThinkingConfig, *, show: bool, notices: Notices
) -> JSONObject:
    """The wire's `thinkingConfig`; what a call asks for stands in the place of the entry's default."""
    out = default.model_dump(mode="json", by_alias=True, exclude_none=True)
    if show:
        out.setdefault("includeThoughts", True)
    if asked.reasoning_tokens is not None or asked.reasoning_effort is not None:
        out.pop("thinkingBudget", None)
        out.pop("thinkingLevel", None)
    if asked.reasoning_tokens is not None:
        out["thinkingBudget"] = asked.reasoning_tokens
        if asked.reasoning_effort is not None:
            notices.append(("param_dropped", "of an effort and a number of tokens the number was sent"))
    elif asked.reasoning_effort is not None:
        out |= _effort(model, asked.reasoning_effort, notices)
    level = out.get("thinkingLevel")
    if isinstance(level, str):
        out["thinkingLevel"] = level.upper()
    return out


def _effort(model: str, effort: str, notices: Notices) -> JSONObject:
    if _BUDGETED.search(model):
        budgets = _BUDGETS | (_PRO_BUDGETS if _PRO.search(model) else {})
        if effort == "none" and budgets[effort]:
            notices.append(
                ("param_approximated", "this model cannot be kept from thinking: it thinks little")
            )
        return {"thinkingBudget": budgets[effort]}
    if effort in _LEVELS:
        notices.append(("param_approximated", f"an effort of {effort!r} went out as {_LEVELS[effort]!r}"))
    return {"thinkingLevel": _LEVELS.get(effort, effort)}
