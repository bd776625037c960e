"""Token counts of the wire: each field cumulative, a later one in the place of an earlier one."""

from protocol.noun import JSON
from protocol.usage import Usage
from providers.counts import BYTES_A_TOKEN, count_of

_FIELDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Counts:
    """What one answer was said to have consumed so far."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def take(self, wire: JSON) -> None:
        if not isinstance(wire, dict):
            return
        for name in _FIELDS:
            self._replace(name, wire.get(name))
        details = wire.get("output_tokens_details")
        if isinstance(details, dict):
            self._replace("thinking_tokens", details.get("thinking_tokens"))

    def usage(self, sent_bytes: int, received_chars: int) -> Usage:
        """What was not said is estimated."""
        taken, given = self._known.get("input_tokens"), self._known.get("output_tokens")
        fresh = sent_bytes // BYTES_A_TOKEN if taken is None else taken
        made = received_chars // BYTES_A_TOKEN if given is None else given
        read = self._known.get("cache_read_input_tokens", 0)
        written = self._known.get("cache_creation_input_tokens", 0)
        return Usage(
            input_uncached=fresh,
            cache_read=read,
            cache_write=written,
            output_total=made,
            output_reasoning=self._known.get("thinking_tokens", 0),
            total=fresh + read + written + made,
            estimated=taken is None or given is None,
        )

    def _replace(self, name: str, value: JSON) -> None:
        count = count_of(value)
        if count is not None:
            self._known[name] = count
