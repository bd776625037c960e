"""Token counts of the wire in our three disjoint input buckets."""

from protocol.noun import JSON
from protocol.usage import Usage


def usage_of(wire: JSON) -> tuple[Usage, bool] | None:
    """The counts, and whether they had to be clamped; None where the wire counted nothing."""
    if not isinstance(wire, dict):
        return None
    prompt = _count(wire, "promptTokenCount")
    if prompt is None and _count(wire, "totalTokenCount") is None:
        return None
    taken = (prompt or 0) + (_count(wire, "toolUsePromptTokenCount") or 0)
    read = _count(wire, "cachedContentTokenCount") or 0
    thoughts = _count(wire, "thoughtsTokenCount") or 0
    given = (_count(wire, "candidatesTokenCount") or 0) + thoughts
    total = _count(wire, "totalTokenCount")
    usage = Usage(
        input_uncached=max(0, taken - read),
        cache_read=read,
        output_total=given,
        output_reasoning=thoughts,
        total=taken + given if total is None else total,
    )
    return usage, read > taken


def _count(wire: dict[str, JSON], name: str) -> int | None:
    value = wire.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value)
