"""An act for which the policy wants several people: it happens when all of them have agreed, and once."""

from pathlib import Path

import pytest

from protocol.checkpoint import Checkpoint, Required
from protocol.ids import PrincipalId
from records import decisions
from records.decisions import Decided, IsRequester, RoleMissing
from tests.stack import POLICY, Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

RULE = """
@id("test.two-keys") @approver_role("release") @approvals("2") @not_requester("true")
forbid (principal, action == Action::"invoke_unattended", resource is Tool)
when { context has arguments && context.arguments has note && context.arguments.note == "two keys" };
"""

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "two keys" } }]
[[scenarios.turns]]
text = "I got: {last_result}"
"""


async def test_the_policy_s_words_hold_until_the_act(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        (stack.data / "policy.cedar").write_text(POLICY + RULE)
        await stack.start_worker()
        await two_keys(stack)


async def two_keys(stack: Stack) -> None:
    run = await stack.create("go", capabilities=[{"kind": "tool", "name": "count_non_idempotent_write"}])
    checkpoint = await stack.checkpoint(run)
    assert checkpoint.required == Required(role="release", count=2, not_requester=True)
    assert checkpoint.rule == "test.two-keys"

    async def approve(who: str, *roles: str) -> decisions.Outcome:
        caller = stack.caller.model_copy(
            update={"principal_id": PrincipalId(who), "name": who, "roles": roles}
        )
        verdict = decisions.Verdict(decision="approve", envelope_digest=checkpoint.envelope_digest)
        outcome = await stack.commit(run, lambda tx: decisions.decide(tx, caller, checkpoint.id, verdict))
        await stack.wake(run)
        return outcome

    assert await approve(stack.admin.id, "release") == IsRequester()
    assert await approve("prin_bob", "dev") == RoleMissing(role="release")
    first = await approve("prin_bob", "release")
    assert isinstance(first, Decided)
    assert first.checkpoint.status == "open"
    assert not stack.counted(await stack.events(run))
    second = await approve("prin_ann", "release")
    assert isinstance(second, Decided)
    assert second.checkpoint.status == "approved"
    told = await stack.ended(run)
    assert len(stack.counted(told)) == 1
    assert len(of_type(told, "checkpoint.redeemed")) == 1
    seen: list[Checkpoint] = [first.checkpoint, second.checkpoint]
    assert [one.approvals for one in seen] == [1, 2]
