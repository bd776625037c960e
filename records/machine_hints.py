"""Hints between the processes of one machine: a named pipe for every listener, all in one folder.

A listener that is gone leaves a pipe that nobody reads; whoever finds it removes it. A pipe holds some 800
messages (a datagram socket only ten): a listener that falls that far behind gets the newest numbers merged.
"""

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from records.hints import LocalHints, Topic, decode, encode

MESSAGE = 4_000  # what is shorter than 4,096 bytes is written whole or not at all
LIST_AGAIN_S = 0.5


class MachineHints(LocalHints):
    """`publish` writes to the others and delivers here; `start` opens this process's own pipe."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._inbound = -1
        self._rest = b""
        self._lock = threading.Lock()
        self._closed = False
        self._pipes: dict[str, int] = {}
        self._late: dict[str, dict[Topic, int]] = {}
        self._listed_at = -LIST_AGAIN_S
        self._seen_ns = -1

    async def start(self) -> None:
        await super().start()
        self._folder.mkdir(parents=True, exist_ok=True)
        unnamed = self._folder / f".{self._name}"  # until it has a reader, lest somebody removes it
        os.mkfifo(unnamed, 0o600)
        # for reading and writing: with a writer of our own the pipe never ends
        self._inbound = os.open(unnamed, os.O_RDWR | os.O_NONBLOCK)
        unnamed.rename(self._folder / self._name)
        asyncio.get_running_loop().add_reader(self._inbound, self._receive)

    async def close(self) -> None:
        if self._inbound >= 0:
            asyncio.get_running_loop().remove_reader(self._inbound)
            (self._folder / self._name).unlink(missing_ok=True)
            os.close(self._inbound)
            self._inbound = -1
        with self._lock:
            self._closed = True
            for pipe in self._pipes.values():
                os.close(pipe)
            self._pipes.clear()
        await super().close()

    def publish(self, hints: Mapping[Topic, int]) -> None:
        with self._lock:
            if self._closed or not hints:
                return
            self._look_for_listeners()
            for name in list(self._pipes):
                self._send(name, {**self._late.pop(name, {}), **hints})
        super().publish(hints)

    def _look_for_listeners(self) -> None:
        """Two changes within one tick of the folder's time look like one: look again by the clock as well."""
        try:
            changed, now = self._folder.stat().st_mtime_ns, time.monotonic()
            if changed == self._seen_ns and now < self._listed_at + LIST_AGAIN_S:
                return
            self._seen_ns, self._listed_at = changed, now
            found = os.listdir(self._folder)
        except OSError:
            return
        names = {name for name in found if not name.startswith(".") and name != self._name}
        for name in self._pipes.keys() - names:
            os.close(self._pipes.pop(name))
        for name in names - self._pipes.keys():
            try:
                self._pipes[name] = os.open(self._folder / name, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads it any more
                with suppress(OSError):
                    os.unlink(self._folder / name)

    def _send(self, name: str, hints: Mapping[Topic, int]) -> None:
        try:
            for message in encode(hints, MESSAGE):
                os.write(self._pipes[name], message + b"\n")
        except BlockingIOError:
            self._late[name] = dict(hints)
        except OSError:
            os.close(self._pipes.pop(name))
            with suppress(OSError):
                os.unlink(self._folder / name)

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._inbound, 65_536):
                *messages, self._rest = (self._rest + data).split(b"\n")
                for message in messages:
                    self.deliver(decode(message))
