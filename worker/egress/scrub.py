"""What went in as a credential does not come back: each spelling of it in an answer is masked."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from protocol.mask import base64_cores


class Scrub:
    """Masks in a stream of pieces, byte for byte, so that lengths stay; a spelling may lie across pieces."""

    def __init__(self, values: Iterable[bytes]) -> None:
        forms = {form for value in values for form in _spellings(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms))) if forms else None
        self._held = b""

    def piece(self, data: bytes) -> bytes:
        """What can be told of it by now."""
        if self._pattern is None:
            return data
        known = self.whole(self._held + data)
        keep = self._begun(known)
        self._held = known[len(known) - keep :]
        return known[: len(known) - keep]

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def whole(self, data: bytes) -> bytes:
        if self._pattern is None:
            return data
        return self._pattern.sub(lambda found: b"*" * len(found[0]), data)

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a spelling."""
        longest = min(len(data), len(self._forms[0]) - 1)
        for size in range(longest, 0, -1):
            end = data[-size:]
            if any(form.startswith(end) for form in self._forms):
                return size
        return 0


def _spellings(value: bytes) -> Iterable[bytes]:
    """Plain, in hexadecimal, in a URL, in JSON, and the part of its Base64 that no neighbour changes."""
    yield value
    yield from (value.hex().encode(), value.hex().upper().encode())
    yield quote(value, safe="").encode()
    yield json.dumps(value.decode(errors="replace"))[1:-1].encode()
    yield from (core.encode() for core in base64_cores(value) if len(core) >= 6)
