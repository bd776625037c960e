"""Token counts of the wire in our three disjoint input buckets."""

from protocol.noun import JSON
from protocol.usage import Usage
from providers.counts import count_of


def usage_of(wire: JSON) -> tuple[Usage, bool] | None:
    """The counts, and whether they had to be clamped; None where they are not complete."""
    if not isinstance(wire, dict):
        return None
    taken, given = _count(wire, "prompt_tokens"), _count(wire, "completion_tokens")
    if taken is None or given is None:
        return None
    details = wire.get("prompt_tokens_details")
    read = _count(details, "cached_tokens")
    if read is None:
        read = _count(wire, "prompt_cache_hit_tokens") or 0
    written = _count(details, "cache_write_tokens") or 0
    reasoning = _count(wire.get("completion_tokens_details"), "reasoning_tokens") or 0
    total = _count(wire, "total_tokens")
    usage = Usage(
        input_uncached=max(0, taken - read - written),
        cache_read=read,
        cache_write=written,
        output_total=given,
        output_reasoning=reasoning,
        total=taken + given if total is None else total,
    )
    return usage, read + written > taken


def _count(wire: JSON, name: str) -> int | None:
    return count_of(wire.get(name)) if isinstance(wire, dict) else None
