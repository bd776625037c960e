"""A person with a browser, and the peer that wants one: `tests.authorized_mcp` as tests reach it."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from protocol.mcp import McpServerEntry
from tests.mcp_peers import Peer, peer
from tests.mcp_server import ADD

REDIRECT = "http://127.0.0.1:4711/callback"
SHOUT: dict[str, Any] = ADD | {"name": "shout", "description": "Shouts.", "inputSchema": {"type": "object"}}


@dataclass(frozen=True)
class Guarded:
    """A server behind an issuer."""

    server: Peer

    @property
    def issuer(self) -> str:
        return (self.server.folder / "issuer").read_text()

    def entry(self, *, declared: bool = True, **account: Any) -> McpServerEntry:
        told = ({"issuer": self.issuer} if declared else {}) | account
        effects = {"add": "read_only", "shout": "non_idempotent_write"}
        return self.server.entry(account=told, effects=effects)

    def want(self, **quirks: Any) -> None:
        (self.server.folder / "quirks.json").write_text(json.dumps(quirks))

    def asked(self, what: str) -> list[dict[str, Any]]:
        """What the issuer was asked so far."""
        return [one for one in _lines(self.server.folder / "issuer.jsonl") if one["what"] == what]

    def called(self) -> list[tuple[str, int | None]]:
        """The tools that were called so far, each with the number of the token's grant."""
        seen = _lines(self.server.folder / "seen.jsonl")
        return [(one["tool"], one["grant"]) for one in seen if one["tool"] is not None]


@contextmanager
def guarded(folder: Path) -> Generator[Guarded]:
    with peer("tests.authorized_mcp", folder) as running:
        running.offer(ADD, SHOUT)
        yield Guarded(running)


async def agree(address: str) -> dict[str, str]:
    """What the issuer sends the browser back with."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(address)
    assert answer.status_code == 307, answer.text
    return {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
