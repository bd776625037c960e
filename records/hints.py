"""The bus of hints: "run R's log has grown to N", "run R's inbox has grown", "some run's end is to be
signed". Never data.

A hint may be lost; who follows looks by itself once a second. `publish` is called from the writer's thread
right after a commit and neither blocks nor raises. Across the processes of one machine hints go by
`records.machine_hints`, across machines with the commit itself; both stand on `LocalHints`.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, get_args

import orjson

from protocol.ids import RunId

Kind = Literal["events", "inbox", "outbox", "unsealed", "sealed"]
Topic = tuple[Kind, RunId]

SOME_RUN = RunId("*")
"""Stands in topics that are about whichever run."""

_KINDS: dict[str, Kind] = {kind[0]: kind for kind in get_args(Kind)}


def encode(hints: Mapping[Topic, int], limit: int) -> list[bytes]:
    """Hints as messages of at most `limit` bytes."""
    data = orjson.dumps([(kind[0], run_id, number) for (kind, run_id), number in hints.items()])
    if len(data) <= limit:
        return [data]
    items = list(hints.items())
    half = len(items) // 2
    return [*encode(dict(items[:half]), limit), *encode(dict(items[half:]), limit)]


def decode(data: bytes | str) -> dict[Topic, int]:
    """What a message tells; nothing where it is not one of ours."""
    try:
        return {(_KINDS[kind], RunId(run_id)): int(number) for kind, run_id, number in orjson.loads(data)}
    except (ValueError, TypeError, KeyError):
        return {}


class Subscription:
    """The newest number hinted for a topic since it was subscribed."""

    def __init__(self) -> None:
        self.number = 0
        self._grown = asyncio.Event()

    def hear(self, number: int) -> None:
        if number > self.number:
            self.number = number
            self._grown.set()

    async def wait(self, beyond: int, patience: float) -> bool:
        """True once a number beyond `beyond` was hinted, False after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                while self.number <= beyond:
                    self._grown.clear()
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True


class Hints(Protocol):
    """Where a process says, and hears, that something has grown."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def publish(self, hints: Mapping[Topic, int]) -> None:
        """From any thread."""
        ...

    def listen(self, topic: Topic, hear: Callable[[int], None]) -> AbstractContextManager[None]:
        """`hear` is called in the loop with each number that is hinted."""
        ...

    def subscribe(self, topic: Topic) -> AbstractContextManager[Subscription]: ...


class LocalHints:
    """The bus inside one process; `start` binds it to the running loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard_by: dict[Topic, set[Callable[[int], None]]] = {}

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        self._loop = None

    def publish(self, hints: Mapping[Topic, int]) -> None:
        loop = self._loop
        if loop is None or not any(topic in self._heard_by for topic in hints):
            return
        try:
            loop.call_soon_threadsafe(self.deliver, dict(hints))
        except RuntimeError:
            return  # the loop is closed: nobody listens any more

    def deliver(self, hints: Mapping[Topic, int]) -> None:
        """In the loop's own thread."""
        for topic, number in hints.items():
            for hear in self._heard_by.get(topic, ()):
                hear(number)

    @contextmanager
    def listen(self, topic: Topic, hear: Callable[[int], None]) -> Generator[None]:
        self._heard_by.setdefault(topic, set()).add(hear)
        try:
            yield
        finally:
            rest = self._heard_by[topic]
            rest.discard(hear)
            if not rest:
                del self._heard_by[topic]

    @contextmanager
    def subscribe(self, topic: Topic) -> Generator[Subscription]:
        subscription = Subscription()
        with self.listen(topic, subscription.hear):
            yield subscription
