"""What a call consumed, in tokens; the three input buckets are disjoint."""

from protocol.noun import Noun


class Usage(Noun):
    """Token counts; `estimated` marks what the provider did not report itself."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output_total: int = 0
    output_reasoning: int = 0
    total: int = 0
    estimated: bool = False


def add(one: Usage, other: Usage) -> Usage:
    return Usage(
        input_uncached=one.input_uncached + other.input_uncached,
        cache_read=one.cache_read + other.cache_read,
        cache_write=one.cache_write + other.cache_write,
        output_total=one.output_total + other.output_total,
        output_reasoning=one.output_reasoning + other.output_reasoning,
        total=one.total + other.total,
        estimated=one.estimated or other.estimated,
    )
