"""Where a server can lead us (MCP-07): inner addresses in metadata, redirects, names; a canary counts."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from protocol.errors import Unavailable
from protocol.ids import RunId
from protocol.mcp import ClientCredentials, McpServerEntry
from protocol.secret import SecretRef
from providers.mcp.guarded import Guarded
from providers.mcp.servers import Servers
from worker.egress.authority import Authority

RUN = RunId("run_1")
SECRET = SecretRef(kind="env", name="S")
Answer = tuple[int, dict[str, str], Any]

INNER = [
    *(
        "127.0.0.1",
        "localhost",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
    ),
    *("0x7f.0x0.0x0.0x1", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fd12::1]"),
    *("169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "192.0.0.192"),
    *("224.0.0.1", "localhost.", "rebound.example", "user@127.0.0.1"),
]


@dataclass
class Site:
    """A small HTTP server: answers by method and path, and everything that it was asked."""

    url: str = ""
    answers: dict[str, Callable[[dict[str, str], bytes], Answer]] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                fields = {
                    k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])
                }
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                self.heard.append(f"{method} {path}")
                known = self.answers.get(f"{method} {path}")
                status, more, value = known(fields, body) if known else (404, {}, None)
                data = json.dumps(value).encode()
                lines = "".join(f"{name}: {text}\r\n" for name, text in more.items())
                start = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{lines}"
                writer.write(f"{start}content-length: {len(data)}\r\n\r\n".encode() + data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def sites() -> AsyncGenerator[tuple[Site, Site, Site]]:
    """A server of tools, an authorization server, and a canary that nobody may reach."""
    made = (Site(), Site(), Site())
    servers: list[asyncio.Server] = []
    for site in made:
        server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
        site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        servers.append(server)
    yield made
    for server in servers:
        server.close()


def protect(tools: Site, issuer: Site, token: str = "t0ken") -> None:
    """Make one site a server of tools behind a bearer token, the other what gives that token."""

    def mcp(fields: dict[str, str], body: bytes) -> Answer:
        if fields.get("authorization") != f"Bearer {token}":
            where = f'Bearer resource_metadata="{tools.url}/.well-known/oauth-protected-resource"'
            return 401, {"www-authenticate": where}, None
        asked = json.loads(body)
        info = {"name": "protected", "version": "1"}
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}
        match asked["method"]:
            case "initialize":
                return 200, {}, {"jsonrpc": "2.0", "id": asked["id"], "result": result}
            case "server/discover":
                error = {"code": -32601, "message": "no"}
                return 404, {}, {"jsonrpc": "2.0", "id": asked["id"], "error": error}
            case _:
                return 202, {}, None

    metadata = {"resource": f"{tools.url}/mcp", "authorization_servers": [issuer.url]}
    tools.answers["POST /mcp"] = mcp
    tools.answers["GET /.well-known/oauth-protected-resource"] = lambda *_: (200, {}, metadata)
    issuer.answers["GET /.well-known/oauth-authorization-server"] = lambda *_: (
        200,
        {},
        described(issuer.url),
    )
    given = {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}
    issuer.answers["POST /token"] = lambda *_: (200, {}, given)


def described(issuer: str, token_endpoint: str | None = None) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": token_endpoint or f"{issuer}/token",
        "response_types_supported": ["code"],
        "grant_types_supported": ["client_credentials"],
    }


def declared(tools: Site, issuer: Site) -> McpServerEntry:
    oauth = ClientCredentials(issuer=issuer.url, client_id="rhone", client_secret=SECRET)
    return McpServerEntry(url=f"{tools.url}/mcp", oauth=oauth, private_network=True)


async def connected(entry: McpServerEntry) -> str:
    """The name of the server behind an entry. Raises Unavailable."""
    servers = Servers({"t": entry}, lambda _: "secret")
    try:
        info = (await servers.connection(RUN, "t")).facts.info
        return str((info or {}).get("name"))
    finally:
        await servers.close()


async def test_tokens_come_from_the_declared_issuer(sites: tuple[Site, Site, Site]) -> None:
    tools, issuer, _ = sites
    protect(tools, issuer)
    assert await connected(declared(tools, issuer)) == "protected"
    assert issuer.heard.count("POST /token") == 1


async def test_a_bearer_reference_is_sent_to_the_server(sites: tuple[Site, Site, Site]) -> None:
    tools, issuer, _ = sites
    protect(tools, issuer, token="secret")
    entry = McpServerEntry(url=f"{tools.url}/mcp", auth=SECRET, private_network=True)
    assert await connected(entry) == "protected"
    assert issuer.heard == []


async def test_credentials_are_never_given_to_another_issuer(sites: tuple[Site, Site, Site]) -> None:
    """MCP-04."""
    tools, issuer, other = sites
    protect(tools, issuer)
    metadata = {"resource": f"{tools.url}/mcp", "authorization_servers": [other.url]}
    tools.answers["GET /.well-known/oauth-protected-resource"] = lambda *_: (200, {}, metadata)
    other.answers["GET /.well-known/oauth-authorization-server"] = lambda *_: (200, {}, described(other.url))
    with pytest.raises(Unavailable):
        await connected(declared(tools, issuer))
    assert other.heard == []
    assert "POST /token" not in issuer.heard


async def test_metadata_for_another_resource_gets_no_token(sites: tuple[Site, Site, Site]) -> None:
    """MCP-04: a token for another audience is not even asked for."""
    tools, issuer, _ = sites
    protect(tools, issuer)
    metadata = {"resource": "https://elsewhere.example/mcp", "authorization_servers": [issuer.url]}
    tools.answers["GET /.well-known/oauth-protected-resource"] = lambda *_: (200, {}, metadata)
    with pytest.raises(Unavailable):
        await connected(declared(tools, issuer))
    assert "POST /token" not in issuer.heard


async def test_a_server_with_a_certificate_of_somebody_else_is_asked_nothing(
    sites: tuple[Site, Site, Site], tmp_path: Path
) -> None:
    """MCP-04."""
    canary = sites[2]
    authority = Authority.kept_in(tmp_path / "key.pem", "somebody else")
    server = await asyncio.start_server(canary.serve, "127.0.0.1", 0, ssl=authority.context("localhost"))
    port = server.sockets[0].getsockname()[1]
    entry = McpServerEntry(url=f"https://localhost:{port}/mcp", auth=SECRET, private_network=True)
    with pytest.raises(Unavailable):
        await connected(entry)
    assert canary.heard == []
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["metadata", "issuer", "token", "redirect"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", INNER)
async def test_no_inner_address_is_dialled(
    sites: tuple[Site, Site, Site], host: str, scheme: str, place: str
) -> None:
    tools, issuer, canary = sites
    protect(tools, issuer)
    inner = f"{scheme}://{host}:{canary.url.rpartition(':')[2]}/x"
    match place:
        case "metadata":
            where = {"www-authenticate": f'Bearer resource_metadata="{inner}"'}
            tools.answers["POST /mcp"] = lambda *_: (401, where, None)
            del tools.answers["GET /.well-known/oauth-protected-resource"]
        case "issuer":
            metadata = {"resource": f"{tools.url}/mcp", "authorization_servers": [inner]}
            tools.answers["GET /.well-known/oauth-protected-resource"] = lambda *_: (200, {}, metadata)
        case "token":
            told = described(issuer.url, inner)
            issuer.answers["GET /.well-known/oauth-authorization-server"] = lambda *_: (200, {}, told)
        case _:
            tools.answers["POST /mcp"] = lambda *_: (307, {"location": inner}, None)
    with pytest.raises(Unavailable):
        await connected(declared(tools, issuer))
    assert canary.connections == 0


async def test_a_name_is_looked_up_for_each_request_and_dialled_where_it_was_checked(
    sites: tuple[Site, Site, Site],
) -> None:
    canary = sites[2]
    port = canary.url.rpartition(":")[2]
    answers = iter([["93.184.216.34", "127.0.0.1"], ["127.0.0.1"], ["::1"]])

    async def rebound(_: str, __: int) -> list[str]:
        return next(answers)

    transport = Guarded([f"https://rebound.example:{port}/mcp"], others=True, resolve=rebound)
    async with httpx2.AsyncClient(transport=transport) as client:
        for _ in range(3):
            response = await client.post(f"https://rebound.example:{port}/mcp")
            assert (response.status_code, response.json()["error"]["code"]) == (502, -32990)
    assert canary.connections == 0
