"""Hints between the processes of one machine: a datagram to every listener's socket in one folder.

A listener that is gone leaves a socket file that refuses; whoever finds it removes it. A listener whose
queue is full gets the newest numbers a moment later, merged.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from records.hints import LocalHints, Topic, decode, encode

DATAGRAM = 32 * 1024
RETRY_S = 0.005
LIST_AGAIN_S = 0.5


class MachineHints(LocalHints):
    """`publish` sends to the others and delivers here; `start` opens this process's own socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._directory = -1
        self._inbound: socket.socket | None = None
        self._outbound = _datagram_socket()
        self._lock = threading.Lock()
        self._closed = False
        self._peers: list[str] = []
        self._listed_at = -LIST_AGAIN_S
        self._seen_ns = -1
        self._late: dict[str, dict[Topic, int]] = {}

    async def start(self) -> None:
        await super().start()
        self._open_folder()
        self._inbound = _datagram_socket()
        self._inbound.bind(self._path(self._name))
        asyncio.get_running_loop().add_reader(self._inbound, self._receive, self._inbound)

    async def close(self) -> None:
        if self._inbound is not None:
            asyncio.get_running_loop().remove_reader(self._inbound)
            self._inbound.close()
            (self._folder / self._name).unlink(missing_ok=True)
            self._inbound = None
        with self._lock:
            self._closed = True
            self._outbound.close()
            if self._directory >= 0:
                os.close(self._directory)
                self._directory = -1
        await super().close()

    def publish(self, hints: Mapping[Topic, int]) -> None:
        with self._lock:
            if self._closed:
                return
            self._open_folder()
            for peer in self._listening():
                self._send(peer, {**self._late.pop(peer, {}), **hints})
            late = bool(self._late)
        super().publish(hints)
        if late:
            self._call_later()

    def _open_folder(self) -> None:
        if self._directory < 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)

    def _path(self, name: str) -> str:
        """A socket's path has room for 107 bytes only; the folder's own path may be longer."""
        return f"/proc/self/fd/{self._directory}/{name}"

    def _listening(self) -> list[str]:
        """Two changes within one tick of the folder's time look like one: look again by the clock as well."""
        changed, now = os.fstat(self._directory).st_mtime_ns, time.monotonic()
        if changed != self._seen_ns or now > self._listed_at + LIST_AGAIN_S:
            self._seen_ns, self._listed_at = changed, now
            self._peers = [name for name in os.listdir(self._directory) if name != self._name]
        return self._peers

    def _send(self, peer: str, hints: Mapping[Topic, int]) -> None:
        for data in encode(hints, DATAGRAM):
            try:
                self._outbound.sendto(data, self._path(peer))
            except BlockingIOError:
                self._late[peer] = dict(hints)
                return
            except ConnectionRefusedError:
                with suppress(FileNotFoundError):
                    os.unlink(peer, dir_fd=self._directory)
                return
            except OSError:
                return  # gone in this moment, or closing: a hint may be lost

    def _call_later(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.call_later, RETRY_S, self._send_late)

    def _send_late(self) -> None:
        with self._lock:
            if self._closed:
                return
            late, self._late = self._late, {}
            for peer, hints in late.items():
                self._send(peer, hints)
            again = bool(self._late)
        if again:
            self._call_later()

    def _receive(self, inbound: socket.socket) -> None:
        while True:
            try:
                data = inbound.recv(2 * DATAGRAM)
            except BlockingIOError:
                return
            self.deliver(decode(data))


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
