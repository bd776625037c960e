"""MCP servers over the API and on the command line: what is declared, how it stands, and who is connected."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import pytest_asyncio

from capabilities.mcp import raw_digest
from tests.flow.gateway.house import House, error_of, house
from tests.mcp_peers import Peer, peer
from tests.mcp_people import REDIRECT, SHOUT, Guarded, agree, guarded
from tests.mcp_server import ADD, NOTE

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

DECLARED = """
[mcp_servers.away]
url = "http://127.0.0.1:1/mcp"
private_network = true
[mcp_servers.mail]
url = "{mail}/mcp"
private_network = true
account = {{ issuer = "{issuer}" }}
[mcp_servers.open]
url = "{open}/mcp"
private_network = true
effects = {{ add = "read_only" }}
[mcp_servers.program.stdio]
command = ["serve", "it"]
"""


class World(NamedTuple):
    home: House
    mail: Guarded
    open: Peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    folder = tmp_path_factory.mktemp("mcp")
    for name in ("mail", "open"):
        (folder / name).mkdir()
    with guarded(folder / "mail") as mail, peer("tests.mcp_server", folder / "open") as opened:
        opened.offer(ADD)
        config = DECLARED.format(mail=mail.server.url, issuer=mail.issuer, open=opened.url)
        async with house(folder / "data", config=config) as home:
            yield World(home, mail, opened)


@pytest.fixture
def home(world: World) -> House:
    return world.home


async def connect(client: httpx2.AsyncClient, redirect: str = REDIRECT) -> dict[str, Any]:
    begun = await client.post("/v1/mcp-servers/mail:authorize", json={"redirect_uri": redirect})
    assert begun.status_code == 200, begun.text
    brought = await agree(begun.json()["authorization_url"])
    made = await client.post("/v1/mcp-servers/mail:callback", json=brought)
    assert made.status_code == 200, made.text
    return made.json()


async def test_each_server_is_told_with_its_state(world: World, home: House) -> None:
    found = (await home.client.get("/v1/mcp-servers")).json()
    assert found["next_cursor"] is None
    away, mail, opened, program = found["items"]
    assert (away["state"]["reachable"], mail["state"]["reachable"]) == (False, None)
    assert "nobody answers" in away["state"]["reason"]
    assert (mail["access"], mail["account"]) == ("account", None)
    state = opened["state"]
    assert (state["reachable"], state["protocol_version"]) == (True, "2026-07-28")
    assert state["server_info"] == {"name": "tests", "version": "1"}
    assert state["tools"] == [{"name": "add", "digest": raw_digest(ADD), "effect": "read_only"}]
    assert state["resources"] == [{"name": "note://one", "digest": raw_digest(NOTE), "effect": "read_only"}]
    assert (program["transport"], program["url"], program["approved_by"]) == ("stdio", None, None)
    assert "[1] it" in program["words"]
    assert (await home.client.get("/v1/mcp-servers/open")).json() == opened


async def test_the_list_comes_in_pages(home: House) -> None:
    first = (await home.client.get("/v1/mcp-servers?limit=3")).json()
    assert [one["name"] for one in first["items"]] == ["away", "mail", "open"]
    rest = (await home.client.get(f"/v1/mcp-servers?cursor={first['next_cursor']}")).json()
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["program"], None)


async def test_what_is_not_there_is_refused(home: House) -> None:
    nothing = await home.client.get("/v1/mcp-servers/nothing")
    assert error_of(nothing)[:2] == (404, "mcp.server_not_found")
    body = {"redirect_uri": REDIRECT}
    for name in ("open", "nothing"):
        refused = await home.client.post(f"/v1/mcp-servers/{name}:authorize", json=body)
        assert error_of(refused)[:2] == (400, "mcp.no_account")
    refused = await home.client.post(
        "/v1/mcp-servers/mail:authorize", json={"redirect_uri": "https://evil.example/"}
    )
    assert error_of(refused) == (400, "mcp.redirect_uri", "redirect_uri")
    both = {"state": "s", "code": "c", "error": "e"}
    refused = await home.client.post("/v1/mcp-servers/mail:callback", json=both)
    assert refused.status_code == 400
    unbuilt = await home.client.put("/v1/mcp-servers/mail", json={})
    assert error_of(unbuilt)[:2] == (400, "capability.unsupported")


async def test_a_principal_is_connected_for_itself_alone(world: World, home: House) -> None:
    async with home.holding(await home.key("read", "decide")) as ada, home.holding(await home.key()) as bob:
        made = await connect(ada)
        assert made["account"]["scope"] == "read offline_access"
        assert [one["name"] for one in made["state"]["tools"]] == ["add", "shout"]
        assert made["state"]["tools"][1]["digest"] == raw_digest(SHOUT)
        assert (await bob.get("/v1/mcp-servers/mail")).json()["account"] is None
        begun = await ada.post("/v1/mcp-servers/mail:authorize", json={"redirect_uri": REDIRECT})
        brought = await agree(begun.json()["authorization_url"])
        stolen = await bob.post("/v1/mcp-servers/mail:callback", json=brought)
        assert error_of(stolen) == (403, "mcp.unknown_state", "state")
        gone = await ada.post("/v1/mcp-servers/mail:disconnect")
        assert gone.json() == {"name": "mail", "revoked": True}
        again = await ada.post("/v1/mcp-servers/mail:disconnect")
        assert error_of(again)[:2] == (404, "mcp.not_connected")


async def test_only_who_may_decide_connects(home: House) -> None:
    async with home.holding(await home.key("read", "run")) as runner:
        refused = await runner.post("/v1/mcp-servers/mail:authorize", json={"redirect_uri": REDIRECT})
        assert error_of(refused)[:2] == (403, "auth.scope_missing")


async def test_the_command_line_connects_with_a_browser_and_takes_it_back(world: World, home: House) -> None:
    reach = ("--url", str(home.client.base_url), "--key", await home.key())
    connecting = await rhone("connect", "mail", *reach)
    assert connecting.stderr is not None
    address = ""
    while not address.startswith("http"):
        address = (await asyncio.wait_for(connecting.stderr.readline(), 60)).decode().strip()
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as browser:
        assert (await browser.get(address)).text == "You can close this page.\n"
    said, _ = await asyncio.wait_for(connecting.communicate(), 60)
    assert (connecting.returncode, said.decode()) == (0, "mail is connected\n")
    listing = await rhone("list", *reach)
    said, _ = await asyncio.wait_for(listing.communicate(), 60)
    assert "connected" in next(line for line in said.decode().splitlines() if line.startswith("mail"))
    leaving = await rhone("disconnect", "mail", *reach)
    said, _ = await asyncio.wait_for(leaving.communicate(), 60)
    assert said.decode() == "mail is disconnected, and its tokens are taken back\n"


async def rhone(*words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    argv = ("-m", "cli.main", "mcp", *words)
    return await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=pipe, stderr=pipe)


async def test_nothing_of_a_token_is_in_the_records_or_the_answers(world: World, home: House) -> None:
    made = await connect(home.client)
    folder: Path = world.mail.server.folder.parent / "data"
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for secret in (b"AT-", b"RT-", b"s3cret"):
        assert secret not in written
    assert "AT-" not in str(made)
