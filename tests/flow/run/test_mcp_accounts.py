"""Runs that call a server with the account of their principal: denied without one, nothing of it told."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from protocol.ids import RunId
from protocol.mcp_account import Holder
from providers.mcp.accounts import Accounts
from records import snapshots
from records.decisions import Decided
from records.keys import pepper_in
from records.mcp_accounts import McpAccounts
from records.seal import Seal
from tests.invariants import assert_standing_invariants
from tests.mcp_people import REDIRECT, Guarded, agree, guarded
from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = """
[[scenarios]]
when = "add"
[[scenarios.turns]]
tool_calls = [{ name = "mail__add", arguments = { a = 1, b = 2 } }]
[[scenarios.turns]]
text = "I got: {last_result}"
[[scenarios]]
when = "shout"
[[scenarios.turns]]
tool_calls = [{ name = "mail__shout" }]
[[scenarios.turns]]
text = "I got: {last_result}"
"""
ASKED = [{"kind": "mcp", "server": "mail", "tools": ["add", "shout"]}]


class House(NamedTuple):
    stack: Stack
    mail: Guarded

    @property
    def accounts(self) -> Accounts:
        """As a gateway has them."""
        seal = Seal(pepper_in(self.stack.data))
        store = McpAccounts(self.stack.database, self.stack.writer, seal)
        return Accounts({"mail": self.mail.entry(scope="read shout")}, store, lambda _: "", lambda _: None)

    @property
    def holder(self) -> Holder:
        return Holder(tenant=self.stack.tenant, principal_id=self.stack.admin.id)

    async def connect(self) -> None:
        begun = await self.accounts.authorize(self.holder, "mail", REDIRECT)
        brought = await agree(begun.url)
        await self.accounts.finish(self.holder, "mail", brought["state"], brought["code"], brought["iss"])

    async def denials(self, run: RunId) -> dict[str, Any]:
        record = await self.stack.record(run)
        snapshot_id = record.run.capability_snapshot_id
        assert snapshot_id is not None
        snapshot = await self.stack.read(lambda connection: snapshots.load(connection, snapshot_id))
        assert snapshot is not None
        return {one.name: (one.rule, one.reason) for one in snapshot.document.denials}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House]:
    folder = tmp_path_factory.mktemp("mcp_accounts")
    (folder / "mail").mkdir()
    with guarded(folder / "mail") as mail:
        table = (
            f'[mcp_servers.mail]\nurl = "{mail.server.url}/mcp"\nprivate_network = true\nrecheck_ms = 0\n'
            f'account = {{ issuer = "{mail.issuer}", scope = "read shout" }}\n'
            'effects = { add = "read_only" }\n'
        )
        async with Stack(folder / "data", temporal_server, cache, SCRIPT, mcp=table) as stack:
            await stack.start_worker()
            yield House(stack, mail)
            await assert_standing_invariants(stack, stack.runs)


async def test_a_run_of_somebody_who_is_not_connected_is_denied_and_told_how_to_mend_it(house: House) -> None:
    run = await house.stack.create("add", capabilities=ASKED)
    await house.stack.ended(run)
    rule, reason = (await house.denials(run))["mail__add"]
    assert rule == "mcp.not_connected"
    assert "`rhone mcp connect mail`" in reason


async def test_a_run_calls_with_its_principals_account_and_tells_nothing_of_it(house: House) -> None:
    await house.connect()
    token = await house.accounts.token(house.holder, "mail")
    run = await house.stack.create("add", capabilities=ASKED)
    told = await house.stack.ended(run)
    assert "\n3\n" in told[-1]["output_text"]
    assert house.mail.called()[-1] == ("add", 1)
    history = await house.stack.handle(run).fetch_history()
    files = [path for path in house.stack.data.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in files)
    for secret in (token, "RT-", "s3cret"):
        assert secret not in json.dumps(told)
        assert secret not in history.to_json()
        assert secret.encode() not in written


async def test_an_account_that_is_given_up_before_the_call_sends_nothing(house: House) -> None:
    await house.connect()
    run = await house.stack.create("shout", capabilities=ASKED)
    checkpoint = await house.stack.checkpoint(run)
    assert await house.accounts.disconnect(house.holder, "mail")
    before = len(house.mail.called())
    assert isinstance(await house.stack.decide(checkpoint, "approve"), Decided)
    told = await house.stack.ended(run)
    [ended] = of_type(told, "tool_execution.completed")
    assert ended["is_error"]
    assert "rhone mcp connect mail" in told[-1]["output_text"]
    assert len(house.mail.called()) == before
