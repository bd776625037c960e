"""MCP servers as processes of their own: `tests.mcp_server`, which is good, and `tests.hostile_mcp`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.mcp import McpServerEntry


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
