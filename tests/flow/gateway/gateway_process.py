"""A gateway in a process of its own, over a folder, without keys and without an engine."""

import json
import os
import sys
from pathlib import Path

from tests.flow.gateway.house import CONFIG
from tests.processes import Process, until

COMES_UP_S = 30.0


class GatewayProcess:
    """Started again it answers at the same address."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "script.toml").write_text('[[scenarios]]\nturns = [{ text = "hello" }]\n')
        (folder / "rhone.toml").write_text(CONFIG)
        self._folder = folder
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

    async def kill_and_restart(self) -> None:
        self.process.kill()
        self.process = self._started()
        await self.listens()

    def _started(self) -> Process:
        self._starts += 1
        environment = {
            **os.environ,
            "RHONE_DATA": str(self._folder),
            "RHONE_CONFIG": str(self._folder / "rhone.toml"),
            "RHONE_PORT": str(self._port),
            "RHONE_AUTH_MODE": "disabled",
            "RHONE_TEMPORAL_ADDRESS": "127.0.0.1:1",
        }
        log = self._folder / f"gateway-{self._starts}.log"
        return Process((sys.executable, "-m", "gateway.main"), log, environment)
