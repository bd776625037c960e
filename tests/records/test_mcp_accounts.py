"""Accounts at MCP servers on both engines: one state once, one renewal at a time, nothing after the end."""

import asyncio

import pytest

from protocol.ids import PrincipalId
from protocol.mcp_account import Account, Agreement, Holder, Pending, Tokens
from records.database import Database
from records.hints import Hints
from records.mcp_accounts import McpAccounts
from records.seal import Seal
from records.writer import Writer
from tests.records.world import World

URL = "https://mail.example/mcp"
AGREEMENT = Agreement(
    issuer="https://login.example",
    token_endpoint="https://login.example/token",
    client_id="ours",
    redirect_uri="http://127.0.0.1:1/",
    resource=URL,
)
PENDING = Pending(agreement=AGREEMENT, verifier="v" * 43, names_issuer=True)


def account(token: str, lasts: int | None = 3600) -> Account:
    return Account(agreement=AGREEMENT, tokens=Tokens(access_token=token, scope="read", expires_in=lasts))


@pytest.fixture
def store(world: World) -> McpAccounts:
    return McpAccounts(world.database, world.writer, Seal(b"pepper"))


@pytest.fixture
def ann(world: World) -> Holder:
    return Holder(tenant=world.tenant, principal_id=PrincipalId("prin_ann"))


async def test_a_state_is_taken_once(store: McpAccounts, ann: Holder) -> None:
    await store.begin(ann, "mail", URL, "state", PENDING)
    taken = await asyncio.gather(*(store.take(ann, "mail", URL, "state") for _ in range(4)))
    assert [one for one in taken if one is not None] == [PENDING]
    await store.begin(ann, "mail", URL, "other", PENDING)
    bob = ann.model_copy(update={"principal_id": PrincipalId("prin_bob")})
    assert await store.take(bob, "mail", URL, "other") is None
    assert await store.take(ann, "mail", URL, "other") is None
    await store.begin(ann, "mail", URL, "third", PENDING)
    assert await store.take(ann, "mail", "https://other.example/mcp", "third") is None


async def test_tokens_are_renewed_by_one_at_a_time_and_under_their_version(
    store: McpAccounts, ann: Holder
) -> None:
    shown = await store.put(ann, "mail", URL, account("first", lasts=5))
    assert (shown.issuer, shown.scope) == ("https://login.example", "read")
    kept = await store.load(ann, "mail", URL)
    assert kept is not None
    assert (kept.account.tokens.access_token, kept.spent) == ("first", True)
    claims = await asyncio.gather(*(store.claim(ann, "mail", kept.version) for _ in range(4)))
    assert sorted(claims) == [False, False, False, True]
    assert await store.renew(ann, "mail", URL, kept.version, account("second"))
    assert not await store.renew(ann, "mail", URL, kept.version, account("third"))
    later = await store.load(ann, "mail", URL)
    assert later is not None
    assert (later.account.tokens.access_token, later.spent) == ("second", False)
    assert await store.claim(ann, "mail", later.version)
    await store.release(ann, "mail", later.version)
    assert await store.claim(ann, "mail", later.version)


async def test_who_connects_twice_at_once_is_answered_twice(
    world: World, database: Database, hints: Hints, ann: Holder
) -> None:
    other = Writer(database, hints)
    stores = [McpAccounts(database, writer, Seal(b"pepper")) for writer in (world.writer, other)]
    for number in range(20):
        server = f"mail{number}"
        shown = await asyncio.gather(*(store.put(ann, server, URL, account("token")) for store in stores))
        assert {(one.issuer, one.scope) for one in shown} == {("https://login.example", "read")}
        kept = await stores[0].load(ann, server, URL)
        assert kept is not None
        assert (kept.version, kept.account) == (2, account("token"))
    other.close()


async def test_nothing_is_given_out_of_an_account_that_ends(store: McpAccounts, ann: Holder) -> None:
    assert await store.end(ann, "mail") is None
    await store.put(ann, "mail", URL, account("first"))
    assert await store.load(ann, "mail", "https://other.example/mcp") is None
    assert await store.end(ann, "mail", version=7) is None
    assert await store.end(ann, "mail") == account("first")
    assert await store.load(ann, "mail", URL) is None
    assert not await store.claim(ann, "mail", 1)
    assert not await store.renew(ann, "mail", URL, 1, account("second"))
    await store.want(ann, "mail", "write")
    assert (await store.put(ann, "mail", URL, account("third"))).wanted_scope is None
    await store.forget(ann, "mail")
    kept = await store.load(ann, "mail", URL)
    assert kept is not None
    assert kept.account == account("third")
