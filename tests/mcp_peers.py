"""MCP servers as processes of their own: `tests.mcp_server`, which is good, and `tests.hostile_mcp`; and
programs on this machine, which speak over their standard streams as those in boxes do."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import Refused
from protocol.ids import RunId
from protocol.mcp import McpServerEntry, StdioEntry
from protocol.noun import JSONObject


@dataclass(frozen=True)
class Peer:
    """A server that runs. `url` ends where a hostile one takes the name of its misbehaviour."""

    folder: Path
    url: str

    def offer(self, *tools: dict[str, Any]) -> None:
        (self.folder / "tools.json").write_text(json.dumps(tools))

    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def entry(self, path: str = "mcp", **fields: Any) -> McpServerEntry:
        known = {"url": f"{self.url}/{path}", "private_network": True, "recheck_ms": 0}
        return McpServerEntry.model_validate(known | fields)


@contextmanager
def peer(module: str, folder: Path) -> Iterator[Peer]:
    argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", module, str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Peer(folder, f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class LocalProgram:
    """A program without a box."""

    evidence: JSONObject = {"image": "none"}

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        await self.process.stdin.drain()

    async def receive(self) -> bytes:
        assert self.process.stdout is not None
        data = await self.process.stdout.read(65_536)
        if not data:
            raise Refused("target.program_ended", "the program ended")
        return data

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


async def launch_here(_: RunId, __: str, entry: StdioEntry) -> LocalProgram:
    pipe = asyncio.subprocess.PIPE
    return LocalProgram(await asyncio.create_subprocess_exec(*entry.command, stdin=pipe, stdout=pipe))
