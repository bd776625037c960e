"""Token counts as backends tell them, and what is reckoned for those that never do."""

from protocol.digest import MAX_SAFE
from protocol.noun import JSON
from protocol.usage import Usage

BYTES_A_TOKEN = 4
"""Or characters."""


def count_of(value: JSON) -> int | None:
    """A count; None for what is none, or more than anybody can have used."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SAFE:
        return None
    return int(value)


def estimated(sent_bytes: int, received_chars: int) -> Usage:
    taken, given = sent_bytes // BYTES_A_TOKEN, received_chars // BYTES_A_TOKEN
    return Usage(input_uncached=taken, output_total=given, total=taken + given, estimated=True)
