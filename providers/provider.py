"""What every model backend looks like from above, whatever it speaks below."""

from collections.abc import AsyncGenerator
from typing import Protocol

from protocol.model import ModelEvent, ModelRequest


class Provider(Protocol):
    """Somebody who answers a model request with one stream of canonical events.

    A stream ends with exactly one Finish or StreamError and nothing follows it; what was started is ended
    before; the deltas of a block concatenate to the value on its end, or a notice `delta_mismatch` stands
    before the end. A failure is a StreamError, never an exception. Nothing is retried inside, but once
    without opaque state where its maker refuses that: `attempt` counts the caller's tries from 1. Leaving
    the generator (`contextlib.aclosing`, or cancelling the task that waits in it) closes the upstream
    connection.
    """

    def stream(self, request: ModelRequest, *, attempt: int) -> AsyncGenerator[ModelEvent, None]: ...

    async def close(self) -> None: ...
