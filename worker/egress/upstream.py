"""Connections to hosts, and those that a box has had and may have again."""

import asyncio

import h11

from worker.egress.streams import Plain, Wire

MOST = 8
SECONDS = 15.0
"""So many lie ready for a box, each so long."""

Key = tuple[str, str, int]


class Upstream:
    """A connection to a host, by its scheme, name and port; `used` after its first exchange."""

    def __init__(self, key: Key, stream: Plain) -> None:
        self.key = key
        self.wire = Wire(stream, h11.CLIENT)
        self.used = False

    def again(self) -> bool:
        """Begins the next exchange; false where it has had its last."""
        self.used = True
        return not self.wire.sent_ahead and self.wire.again()

    def close(self) -> None:
        self.wire.stream.close()


class Spare:
    """Those of one box that nobody uses. A new one costs the box a look-up, a dial and TLS."""

    def __init__(self) -> None:
        self._kept: list[Upstream] = []

    def take(self, key: Key) -> Upstream | None:
        """The last that came; it may have been closed by its host meanwhile."""
        found = next((one for one in reversed(self._kept) if one.key == key), None)
        if found is not None:
            self._kept.remove(found)
        return found

    def put(self, upstream: Upstream) -> None:
        if len(self._kept) < MOST and upstream.again():
            self._kept.append(upstream)
            asyncio.get_running_loop().call_later(SECONDS, self._let_go, upstream)
        else:
            upstream.close()

    def close(self) -> None:
        while self._kept:
            self._kept.pop().close()

    def _let_go(self, upstream: Upstream) -> None:
        if upstream in self._kept:
            self._kept.remove(upstream)
            upstream.close()
