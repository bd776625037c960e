"""A gateway in a process of its own, over a folder, without keys; it has no engine unless told of one."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import httpx2

from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from tests.flow.gateway.house import CONFIG, frames_of, plain_client
from tests.nursery import nursery
from tests.processes import Process, until

COMES_UP_S = 60.0
SCRIPT = '[[scenarios]]\nturns = [{ text = "hello" }]\n'


class GatewayProcess:
    """Started again it answers at the same address.

    `away` counts the followers that it lost and does not have back; `absent` has how long each of them was
    without it after it listened again.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        for name, text in (("script.toml", SCRIPT), ("rhone.toml", CONFIG)):
            if not (folder / name).exists():
                (folder / name).write_text(text)
        self._folder = folder
        self._given = environment
        self._up_at = 0.0
        self.away = 0
        self.absent: list[float] = []
        self._port = 0
        self._starts = 0
        self.process = self._started()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def lines(self) -> list[dict[str, object]]:
        """What it logged since it was started last."""
        return [json.loads(line) for line in self.process.log.read_text().splitlines()]

    async def listens(self) -> None:
        def told() -> int:
            said = (line for line in self.lines if line["event"] == "listening")
            return next((int(str(line["port"])) for line in said), 0)

        self._port = await until(told, COMES_UP_S, "the gateway does not come up")
        self._up_at = time.monotonic()

    async def kill_and_restart(self) -> None:
        self.process.kill()
        self.process = self._started()
        await self.listens()

    async def follow(self, run_id: RunId) -> list[dict[str, Any]]:
        """All events of a run, by a client that comes back with its cursor however often it is cut off."""
        seen: list[dict[str, Any]] = []
        lost_at: float | None = None
        async with plain_client(self.address) as client:
            while not seen or seen[-1]["type"] not in TERMINAL_EVENTS:
                headers = {
                    "Accept": "text/event-stream",
                    "Last-Event-ID": str(seen[-1]["seq"] if seen else 0),
                }
                try:
                    async with client.stream("GET", f"/v1/runs/{run_id}/events", headers=headers) as answer:
                        if answer.status_code == 503:
                            await asyncio.sleep(0.05)
                            continue
                        assert answer.status_code == 200
                        if lost_at is not None:
                            self.absent.append(time.monotonic() - max(lost_at, self._up_at))
                            self.away -= 1
                            lost_at = None
                        text = ""
                        async for chunk in answer.aiter_text():
                            *whole, text = (text + chunk).split("\n\n")
                            seen += [event for _, _, event in frames_of("\n\n".join(whole))]
                except httpx2.TransportError:
                    if lost_at is None:
                        lost_at = time.monotonic()
                        self.away += 1
                    await asyncio.sleep(0.25)
        return seen

    def _started(self) -> Process:
        self._starts += 1
        environment = {
            **os.environ,
            "RHONE_DATA": str(self._folder),
            "RHONE_CONFIG": str(self._folder / "rhone.toml"),
            "RHONE_PORT": str(self._port),
            "RHONE_AUTH_MODE": "disabled",
            "RHONE_TEMPORAL_ADDRESS": "127.0.0.1:1",
            **self._given,
        }
        log = self._folder / f"gateway-{self._starts}.log"
        return nursery().start("gateway", log, environment)
