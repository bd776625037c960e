"""Accounts of principals, against an issuer and a server that really ask: each its own, used by nobody else,
renewed once, given back."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from pydantic import ValidationError

from protocol.errors import Fault, Forbidden, Refused
from protocol.ids import PrincipalId, RunId
from protocol.mcp import McpServerEntry, NotDone, Said
from protocol.mcp_account import AccountEntry, Connected, Holder
from protocol.noun import JSONObject
from providers.mcp.accounts import Accounts
from providers.mcp.servers import Servers
from records.database import Database
from records.hints import LocalHints
from records.mcp_accounts import McpAccounts
from records.principals import DEFAULT
from records.seal import Seal
from records.writer import Writer
from tests.mcp_people import REDIRECT, Guarded, agree, guarded

pytestmark = pytest.mark.slow

ADA = Holder(tenant=DEFAULT, principal_id=PrincipalId("prin_ada"))
BOB = Holder(tenant=DEFAULT, principal_id=PrincipalId("prin_bob"))
RUNS = {RunId("run_ada"): ADA, RunId("run_bob"): BOB}


class Kept(NamedTuple):
    """The records, and what every process over them shares."""

    folder: Path
    store: McpAccounts
    masked: list[str]

    def accounts(self, **entries: Any) -> Accounts:
        return Accounts(entries, self.store, lambda _: "s3cret/declared", self.masked.append)


class ByRun:
    """The accounts of the two runs."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        return await self.accounts.token(RUNS[run_id], server, stale)

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        return await self.accounts.want(RUNS[run_id], server, scope)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("guarded")) as one:
        yield one


@pytest.fixture
def server(running: Guarded) -> Guarded:
    running.want()
    return running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Path, Database]]:
    folder = tmp_path_factory.mktemp("records")
    database = Database.open(f"sqlite:///{folder / 'rhone.db'}", folder / "blobs")
    await asyncio.to_thread(database.migrate)
    yield folder, database
    database.close()


@pytest_asyncio.fixture
async def kept(migrated: tuple[Path, Database]) -> AsyncGenerator[Kept]:
    folder, database = migrated
    writer = Writer(database, LocalHints())
    store = McpAccounts(database, writer, Seal(b"pepper"))
    yield Kept(folder, store, [])
    for holder in (ADA, BOB):
        await store.end(holder, "t")
        await store.forget(holder, "t")
    await asyncio.to_thread(writer.close)


async def connected(accounts: Accounts, holder: Holder = ADA) -> Connected:
    begun = await accounts.authorize(holder, "t", REDIRECT)
    brought = await agree(begun.url)
    return await accounts.finish(holder, "t", brought["state"], brought["code"], brought.get("iss"))


async def called(accounts: Accounts, server: Guarded, run: str, tool: str = "add") -> Any:
    servers = Servers({"t": server.entry()}, lambda _: "", bearers=ByRun(accounts))
    try:
        connection = await servers.connection(RunId(run), "t")
        arguments: JSONObject = {"a": 1, "b": 2} if tool == "add" else {}
        return await connection.call("tools", tool, arguments, key="k", seconds=5)
    finally:
        await servers.close()


async def test_each_principal_calls_with_its_own_account(server: Guarded, kept: Kept) -> None:
    accounts = kept.accounts(t=server.entry())
    with pytest.raises(Refused, match="rhone mcp connect t") as refused:
        await called(accounts, server, "run_ada")
    assert refused.value.code == "mcp.not_connected"
    shown = await connected(accounts)
    assert (shown.issuer, shown.scope) == (server.issuer, "read offline_access")
    with pytest.raises(Refused, match="is not connected"):
        await called(accounts, server, "run_bob")
    await connected(accounts, BOB)
    before = len(server.called())
    assert isinstance(await called(accounts, server, "run_ada"), Said)
    assert isinstance(await called(accounts, server, "run_bob"), Said)
    (_, first), (_, second) = server.called()[before:]
    assert first is not None and second == first + 1
    authorized = server.asked("authorize")[-1]
    assert (authorized["code_challenge_method"], authorized["resource"]) == (
        "S256",
        f"{server.server.url}/mcp",
    )
    assert server.asked("token")[-1]["resource"] == f"{server.server.url}/mcp"
    assert server.asked("register")[-1]["redirect_uris"] == [REDIRECT]


async def test_nothing_of_a_token_or_a_secret_is_in_the_database(server: Guarded, kept: Kept) -> None:
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    token = await accounts.token(ADA, "t")
    assert token.startswith("AT-") and token in kept.masked
    await accounts.authorize(BOB, "t", REDIRECT)
    written = b"".join(path.read_bytes() for path in kept.folder.iterdir() if path.is_file())
    for secret in (b"AT-", b"RT-", b"s3cret", b"code_verifier", b"access_token"):
        assert secret not in written


async def test_a_state_is_good_once_and_for_the_one_who_began(server: Guarded, kept: Kept) -> None:
    """MCP-09."""
    accounts = kept.accounts(t=server.entry())
    brought = await agree((await accounts.authorize(ADA, "t", REDIRECT)).url)
    with pytest.raises(Forbidden, match="state"):
        await accounts.finish(BOB, "t", brought["state"], brought["code"], server.issuer)
    with pytest.raises(Forbidden, match="state"):  # what another one touched is spent
        await accounts.finish(ADA, "t", brought["state"], brought["code"], server.issuer)
    brought = await agree((await accounts.authorize(ADA, "t", REDIRECT)).url)
    await accounts.finish(ADA, "t", brought["state"], brought["code"], server.issuer)
    with pytest.raises(Forbidden, match="state"):
        await accounts.finish(ADA, "t", brought["state"], brought["code"], server.issuer)
    brought = await agree((await accounts.authorize(ADA, "t", REDIRECT)).url)
    await accounts.refused(ADA, "t", brought["state"])
    with pytest.raises(Forbidden, match="state"):
        await accounts.finish(ADA, "t", brought["state"], brought["code"], server.issuer)


@pytest.mark.parametrize(
    ("quirks", "reason"),
    [
        ({"metadata": {"code_challenge_methods_supported": None}}, "S256"),
        ({"metadata": {"code_challenge_methods_supported": ["plain"]}}, "S256"),
        ({"metadata": {"issuer": "https://issuer.example"}}, "another issuer"),
        ({"metadata": {"authorization_endpoint": "http://issuer.example/authorize"}}, "not https"),
        ({"metadata": {"registration_endpoint": None}}, "declare a `client_id`"),
        ({"resource": {"resource": "https://other.example/mcp"}}, "calls itself"),
        ({"resource": {"authorization_servers": ["https://issuer.example"]}}, "other issuers"),
        ({"metadata": {"registration_endpoint": "http://127.0.0.1:9/register"}}, "not an address"),
        ({"metadata": {"registration_endpoint": "https://169.254.169.254/latest"}}, "inner address"),
    ],
)
async def test_what_cannot_be_believed_is_never_opened(
    server: Guarded, kept: Kept, quirks: dict[str, Any], reason: str
) -> None:
    server.want(**quirks)
    with pytest.raises(Fault, match=reason):
        await kept.accounts(t=server.entry()).authorize(ADA, "t", REDIRECT)


@pytest.mark.parametrize(
    ("quirks", "reason"),
    [
        ({"iss": "https://issuer.example"}, "another issuer"),
        ({"iss": ""}, "does not say"),
        ({"token": {"error": "invalid_grant", "error_description": "at_leaked"}}, "invalid_grant"),
        ({"token": {"token": "at_leaked"}, "status": 200}, "did not give tokens"),
        ({"token": {"error": "at_leaked !"}}, "status 400"),
        ({"token": {"error": "busy"}, "status": 503}, "status 503"),
    ],
)
async def test_an_answer_of_another_issuer_or_a_no_connects_nobody(
    server: Guarded, kept: Kept, quirks: dict[str, Any], reason: str
) -> None:
    """MCP-04."""
    accounts = kept.accounts(t=server.entry())
    server.want(**quirks)
    with pytest.raises(Fault, match=reason) as fault:
        await connected(accounts)
    assert "leaked" not in fault.value.message
    assert await accounts.connected(ADA, "t") is None


@pytest.mark.parametrize(
    "address",
    [
        *("http://evil.example:80/callback", "https://evil.example/callback", "http://127.0.0.1/callback"),
        *(
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1.evil.example:80/",
            "javascript://localhost:1/",
        ),
        *(
            "http://127.0.0.1:80/#x",
            "http://127.0.0.1:x/",
            "http://[::1/",
            "https://declared.example/callback/",
        ),
    ],
)
async def test_a_code_is_sent_to_loopback_or_a_declared_address_only(
    server: Guarded, kept: Kept, address: str
) -> None:
    accounts = kept.accounts(t=server.entry(redirect_uris=["https://declared.example/callback"]))
    with pytest.raises(Refused) as refused:
        await accounts.authorize(ADA, "t", address)
    assert refused.value.code == "mcp.redirect_uri"
    for fine in ("https://declared.example/callback", "http://[::1]:80/back", "http://localhost:1/"):
        assert (await accounts.authorize(ADA, "t", fine)).url.startswith(server.issuer)


async def test_a_declared_client_proves_itself_and_is_not_registered(server: Guarded, kept: Kept) -> None:
    secret = {"kind": "env", "name": "S"}
    before = len(server.asked("register"))
    for methods in (["client_secret_basic"], ["client_secret_post"]):
        server.want(metadata={"token_endpoint_auth_methods_supported": methods})
        entry = server.entry(client_id="declared", client_secret=secret, scope="read")
        assert (await connected(kept.accounts(t=entry))).scope == "read"
    assert len(server.asked("register")) == before


async def test_tokens_that_are_over_are_renewed_once_for_all_who_ask(server: Guarded, kept: Kept) -> None:
    server.want(expires_in=1)
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    server.want(slow=0.2)
    before = len(server.asked("token"))
    asking = [kept.accounts(t=server.entry()).token(ADA, "t") for _ in range(8)]
    assert len(set(await asyncio.gather(*asking))) == 1
    assert [one["grant_type"] for one in server.asked("token")[before:]] == ["refresh_token"]
    assert isinstance(await called(accounts, server, "run_ada"), Said)


async def test_a_token_that_the_server_turns_down_is_renewed_and_the_call_made_once(
    server: Guarded, kept: Kept
) -> None:
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    server.want(stale=await accounts.token(ADA, "t"))
    before = len(server.server.calls())
    assert isinstance(await called(accounts, server, "run_ada"), Said)
    assert len(server.server.calls()) == before + 1


async def test_what_the_issuer_took_back_is_no_account_any_more(server: Guarded, kept: Kept) -> None:
    server.want(expires_in=1)
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    server.want(token={"error": "invalid_grant"})
    with pytest.raises(Refused, match="invalid_grant"):
        await accounts.token(ADA, "t")
    assert await accounts.connected(ADA, "t") is None


async def test_an_issuer_that_is_away_ends_nothing(server: Guarded, kept: Kept) -> None:
    server.want(expires_in=1)
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    server.want(token={"error": "busy"}, status=503)
    with pytest.raises(Fault, match="status 503"):
        await accounts.token(ADA, "t")
    server.want()
    assert (await accounts.token(ADA, "t")).startswith("AT-")


async def test_more_than_was_agreed_to_is_asked_for_the_next_time(server: Guarded, kept: Kept) -> None:
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    before = len(server.server.calls())
    refused = await called(accounts, server, "run_ada", "shout")
    assert isinstance(refused, NotDone)
    assert "'read shout'" in refused.reason and "rhone mcp connect t" in refused.reason
    assert len(server.server.calls()) == before
    assert (await connected(accounts)).scope == "read offline_access shout"
    assert isinstance(await called(accounts, server, "run_ada", "shout"), Said)


async def test_who_disconnects_gives_the_tokens_back(server: Guarded, kept: Kept) -> None:
    accounts = kept.accounts(t=server.entry())
    await connected(accounts)
    token = await accounts.token(ADA, "t")
    before = len(server.asked("revoke"))
    assert await accounts.disconnect(ADA, "t") is True
    assert [one["hint"] for one in server.asked("revoke")[before:]] == ["refresh_token", "access_token"]
    assert await accounts.disconnect(ADA, "t") is None
    with pytest.raises(Refused, match="is not connected"):
        await accounts.token(ADA, "t")
    assert token in kept.masked


async def test_an_issuer_that_is_declared_by_nobody_is_not_dialled_at_an_inner_address(
    server: Guarded, kept: Kept
) -> None:
    before = len(server.asked("register"))
    with pytest.raises(Fault, match="is not an address of this server"):
        await kept.accounts(t=server.entry(declared=False)).authorize(ADA, "t", REDIRECT)
    assert len(server.asked("register")) == before


INNER = (
    *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]"),
    *("[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "user@127.0.0.1"),
)


@pytest.mark.slow
async def test_a_server_leads_nobody_to_an_inner_address(server: Guarded, kept: Kept) -> None:
    touched = 0

    async def touch(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal touched
        touched += 1
        writer.close()

    canary = await asyncio.start_server(touch, "127.0.0.1", 0)
    port = canary.sockets[0].getsockname()[1]
    async with canary:
        for scheme, host in ((scheme, host) for scheme in ("http", "https") for host in INNER):
            place = f"{scheme}://{host}:{port}"
            server.want(resource={"authorization_servers": [place]})
            with pytest.raises(Fault):
                await connected(kept.accounts(t=server.entry(declared=False)))
            for endpoint in ("registration_endpoint", "token_endpoint"):
                server.want(metadata={endpoint: f"{place}/x"})
                with pytest.raises(Fault):
                    await connected(kept.accounts(t=server.entry()))
    assert touched == 0


async def test_an_account_of_another_issuer_than_the_declared_one_is_none(
    server: Guarded, kept: Kept
) -> None:
    await connected(kept.accounts(t=server.entry()))
    other = server.entry(declared=False, issuer="https://issuer.example")
    with pytest.raises(Refused, match="is not connected"):
        await kept.accounts(t=other).token(ADA, "t")


@pytest.mark.parametrize(
    "account",
    [
        {"client_id": "ours"},
        {"client_secret": {"kind": "env", "name": "S"}},
        {"issuer": "https://issuer.example", "client_secret": {"kind": "env", "name": "S"}},
        {"redirect_uris": ["http://console.example/callback"]},
    ],
)
def test_a_secret_is_declared_with_whom_it_is_for(account: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccountEntry.model_validate(account)


def test_an_issuer_in_the_clear_is_an_inner_one() -> None:
    told = {"url": "https://mail.example/mcp", "account": {"issuer": "http://issuer.example"}}
    with pytest.raises(ValidationError):
        McpServerEntry.model_validate(told)
    assert McpServerEntry.model_validate(told | {"private_network": True}).account


async def test_tokens_of_one_address_are_not_sent_to_another(server: Guarded, kept: Kept) -> None:
    await connected(kept.accounts(t=server.entry()))
    moved = server.entry().model_copy(update={"url": "http://127.0.0.1:9/mcp"})
    with pytest.raises(Refused, match="is not connected"):
        await kept.accounts(t=moved).token(ADA, "t")
