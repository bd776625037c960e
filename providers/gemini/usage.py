"""Token counts of the wire in our three disjoint input buckets."""

from protocol.noun import JSON
from protocol.usage import Usage
from providers.counts import count_of


def usage_of(wire: JSON) -> tuple[Usage, bool] | None:
    """The counts, and whether they had to be clamped; None where the wire counted nothing."""
    if not isinstance(wire, dict):
        return None
    prompt = count_of(wire.get("promptTokenCount"))
    if prompt is None and count_of(wire.get("totalTokenCount")) is None:
        return None
    taken = (prompt or 0) + (count_of(wire.get("toolUsePromptTokenCount")) or 0)
    read = count_of(wire.get("cachedContentTokenCount")) or 0
    thoughts = count_of(wire.get("thoughtsTokenCount")) or 0
    given = (count_of(wire.get("candidatesTokenCount")) or 0) + thoughts
    total = count_of(wire.get("totalTokenCount"))
    usage = Usage(
        input_uncached=max(0, taken - read),
        cache_read=read,
        output_total=given,
        output_reasoning=thoughts,
        total=taken + given if total is None else total,
    )
    return usage, read > taken
