"""The ledger, tool executions and model calls: claims, epochs, attempts, and what fences whom."""

import asyncio
from functools import partial

from protocol.digest import digest
from protocol.effect import AlreadySettled, Claimed, ClaimLost
from protocol.errors import ErrorBody
from protocol.event import ResponseDelta, ToolOutput
from protocol.ids import CallId, CheckpointId, RunId, ToolExecutionId, fresh
from protocol.target import Offsets
from protocol.usage import Usage
from records import calls, client_tools, decisions, effects, tool_executions
from records.run_end import RunOutcome, end
from tests.records.world import APPROVE, ENVELOPE, World, gapless

CANCELLED = RunOutcome(status="cancelled", stop_reason="cancelled")
RESULT = tool_executions.ToolResult(
    outcome="succeeded", is_error=False, result_digest="sha256:1", preview="ok"
)


async def intend(world: World, run_id: RunId, execution: ToolExecutionId, envelope: str = ENVELOPE) -> None:
    intent = effects.Intent(
        tool_execution_id=execution,
        run_id=run_id,
        effect="non_idempotent_write",
        envelope_digest=envelope,
        prepared={"path": None},
    )
    await world.commit(lambda tx: effects.intend(tx, intent), run_id)


async def claim(
    world: World,
    run_id: RunId,
    execution: ToolExecutionId,
    approval: CheckpointId | None = None,
    of: str = ENVELOPE,
):
    unit = partial(effects.claim, execution=execution, envelope_digest=of, approval=approval)
    return await world.commit(unit, run_id)


async def test_an_effect_goes_from_intent_to_claim_to_outcome(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    assert await claim(world, run_id, execution) == ClaimLost(reason="nothing was intended")
    await intend(world, run_id, execution)
    assert await world.read(lambda c: effects.prepared(c, execution)) == {"path": None}
    assert await claim(world, run_id, execution) == Claimed(epoch=1, again=False)
    settle = partial(effects.settle, execution=execution, epoch=1, state="succeeded", result={"n": 1})
    assert await world.commit(settle, run_id)
    assert not await world.commit(settle, run_id)
    after = await claim(world, run_id, execution)
    assert isinstance(after, AlreadySettled)
    assert (after.row.state, after.row.result, after.row.epoch) == ("succeeded", {"n": 1}, 1)


async def test_a_later_claim_fences_off_the_earlier_one(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    await intend(world, run_id, execution)
    await claim(world, run_id, execution)
    assert await claim(world, run_id, execution) == Claimed(epoch=2, again=True)
    stale = partial(effects.settle, execution=execution, epoch=1, state="succeeded", result=None)
    assert not await world.commit(stale, run_id)
    told = partial(effects.settle, execution=execution, epoch=2, state="unknown", result=None)
    assert await world.commit(told, run_id)
    assert await world.commit(lambda tx: effects.reopen(tx, execution), run_id)
    assert await claim(world, run_id, execution) == Claimed(epoch=3, again=False)


async def test_of_many_claims_at_once_each_gets_an_epoch_of_its_own(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    await intend(world, run_id, execution)
    claims = await asyncio.gather(*(claim(world, run_id, execution) for _ in range(20)))
    assert sorted(one.epoch for one in claims if isinstance(one, Claimed)) == list(range(1, 21))


async def test_an_approval_is_spent_once_on_exactly_its_act(world: World) -> None:
    """APR-01 and APR-04."""
    run_id = await world.run()
    execution, other = await world.tool(run_id), await world.tool(run_id, ordinal=1)
    one = await world.checkpoint(run_id, execution)
    for each in (execution, other):
        await intend(world, run_id, each)
    assert await claim(world, run_id, execution, one.id) == ClaimLost(reason="the approval is open")
    await world.decide(one.id, run_id, APPROVE)
    assert await claim(world, run_id, other, one.id) == ClaimLost(reason="there is no such approval")
    changed = await claim(world, run_id, execution, one.id, digest("changed"))
    assert changed == ClaimLost(reason="the approval is for another act")
    assert await claim(world, run_id, execution, one.id) == Claimed(epoch=1, again=False)
    assert await world.status(one.id) == "redeemed"
    assert await claim(world, run_id, execution, one.id) == Claimed(epoch=2, again=True)
    assert (await world.types(run_id)).count("checkpoint.redeemed") == 1
    await world.commit(
        partial(effects.settle, execution=execution, epoch=2, state="unknown", result=None), run_id
    )
    await world.commit(lambda tx: effects.reopen(tx, execution), run_id)
    assert await claim(world, run_id, execution, one.id) == ClaimLost(reason="the approval is redeemed")


async def test_an_expired_approval_is_never_spent_and_one_that_was_given_in_time_is(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    one = await world.checkpoint(run_id, execution)
    await intend(world, run_id, execution)
    await world.decide(one.id, run_id, APPROVE)
    await world.overdue(one.id)
    assert isinstance(await claim(world, run_id, execution, one.id), Claimed)


async def test_nothing_is_claimed_once_the_run_or_the_execution_is_over(world: World) -> None:
    run_id = await world.run()
    cancelled, left = await world.tool(run_id), await world.tool(run_id, ordinal=1)
    for execution in (cancelled, left):
        await intend(world, run_id, execution)
    await world.commit(lambda tx: tool_executions.cancel(tx, cancelled, "interrupted"), run_id)
    assert await claim(world, run_id, cancelled) == ClaimLost(reason="the tool execution is cancelled")
    await world.commit(lambda tx: end(tx, run_id, CANCELLED), run_id)
    assert await claim(world, run_id, left) == ClaimLost(reason="the run has ended")


async def test_an_outcome_that_comes_after_the_end_of_the_run_is_still_kept(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    await intend(world, run_id, execution)
    await claim(world, run_id, execution)
    await world.commit(lambda tx: end(tx, run_id, CANCELLED), run_id)
    settle = partial(effects.settle, execution=execution, epoch=1, state="succeeded", result={"n": 1})
    assert await world.commit(settle, run_id)


async def test_a_tool_execution_is_told_from_request_to_result(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    assert await world.commit(lambda tx: tool_executions.start(tx, execution), run_id) == 1
    assert await world.commit(lambda tx: tool_executions.start(tx, execution), run_id) == 2
    late = partial(tool_executions.complete, execution=execution, attempt=1, result=RESULT)
    assert not await world.commit(late, run_id)
    done = partial(tool_executions.complete, execution=execution, attempt=2, result=RESULT)
    assert await world.commit(done, run_id)
    assert not await world.commit(done, run_id)
    assert (await world.types(run_id))[2:] == [
        "tool_execution.requested",
        "tool_execution.started",
        "tool_execution.started",
        "tool_execution.completed",
    ]
    found = await world.read(lambda connection: tool_executions.get(connection, execution))
    assert found is not None
    assert (found.status, found.attempt, found.outcome, found.preview) == ("completed", 2, "succeeded", "ok")
    assert found.arguments == {"to": "you"}
    assert found.arguments_digest == digest({"to": "you"})


async def test_long_arguments_lie_in_the_blob_store_and_the_event_names_their_digest(world: World) -> None:
    run_id = await world.run()
    arguments = {"text": "é\u0000" * 40_000, "nothing": None}
    execution = await world.tool(run_id, arguments=arguments)
    found = await world.read(lambda connection: tool_executions.get(connection, execution))
    assert found is not None
    assert found.arguments == arguments
    event = (await world.log(run_id))[-1]
    assert event["arguments_digest"] == digest(arguments)
    assert "arguments" not in event


async def test_output_is_told_once_whoever_tells_it(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    await world.commit(lambda tx: tool_executions.start(tx, execution), run_id)

    async def told(attempt: int, offset: int, text: str) -> bool:
        piece = ToolOutput(
            tool_execution_id=execution, attempt=attempt, stream="stdout", offset=offset, delta=text
        )
        return await world.commit(
            lambda tx: tool_executions.append_output(tx, run_id, piece, len(text)), run_id
        )

    assert await told(1, 0, "abc")
    assert not await told(1, 0, "abc")
    assert not await told(1, 5, "f")
    assert await told(1, 3, "de")
    assert await world.read(lambda c: tool_executions.told(c, execution)) == (1, Offsets(stdout=5))
    assert await told(1, 3, "defg")
    event = (await world.log(run_id))[-1]
    assert (event["offset"], event["delta"]) == (5, "fg")
    await world.commit(lambda tx: tool_executions.start(tx, execution), run_id)
    assert not await told(1, 7, "h")
    assert await told(2, 0, "abc")


async def test_a_denied_execution_is_over(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    assert await world.commit(lambda tx: tool_executions.deny(tx, execution, "policy0", "no"), run_id)
    assert await world.commit(lambda tx: tool_executions.start(tx, execution), run_id) is None
    event = (await world.log(run_id))[-1]
    assert (event["type"], event["rule"], event["reason"]) == ("tool_execution.denied", "policy0", "no")


async def test_a_new_attempt_of_a_call_voids_the_one_before_and_fences_it(world: World) -> None:
    run_id = await world.run()
    call_id = CallId(fresh("call_"))
    new = calls.NewCall(
        id=call_id, tenant=world.tenant, session_id=world.session_id, run_id=run_id, step=1,
        model="m", resolved_model="m",
    )  # fmt: skip
    assert await world.commit(lambda tx: calls.create(tx, new), run_id)
    assert not await world.commit(lambda tx: calls.create(tx, new), run_id)

    async def say(attempt: int) -> bool:
        delta = ResponseDelta(call_id=call_id, attempt=attempt, block=0, delta="x")
        return await world.commit(
            lambda tx: calls.append_deltas(tx, run_id, call_id, attempt, [delta, delta]), run_id
        )

    assert not await say(1)
    assert await world.commit(lambda tx: calls.start_attempt(tx, call_id), run_id) == 1
    assert await say(1)
    fault = ErrorBody(type="provider_error", code="provider.cut", message="cut", retryable=True)
    assert await world.commit(lambda tx: calls.fail(tx, call_id, 1, fault), run_id)
    assert not await say(1)
    assert await world.commit(lambda tx: calls.start_attempt(tx, call_id), run_id) == 2
    assert not await say(1)
    assert await say(2)
    result = calls.CallResult(usage=Usage(total=3), cost_usd=None, stop_reason="stop")
    assert not await world.commit(lambda tx: calls.complete(tx, call_id, 1, result), run_id)
    assert await world.commit(lambda tx: calls.complete(tx, call_id, 2, result), run_id)
    assert await world.commit(lambda tx: calls.start_attempt(tx, call_id), run_id) is None
    log = await world.log(run_id)
    assert gapless(log)
    assert [(event["type"], event.get("attempt")) for event in log[2:]] == [
        ("call.started", 1),
        ("response.delta", 1),
        ("response.delta", 1),
        ("call.failed", 1),
        ("call.attempt_voided", 1),
        ("call.started", 2),
        ("response.delta", 2),
        ("response.delta", 2),
        ("call.completed", 2),
    ]
    kept = await world.read(lambda connection: calls.load(connection, call_id))
    assert kept is not None
    assert (kept.status, kept.attempt, kept.error, kept.stop_reason) == ("completed", 2, None, "stop")


async def test_a_client_tools_result_counts_once_and_is_welcome_again(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id, source="client")
    one = await world.checkpoint(run_id, execution, kind="client_tool")
    ann = world.caller()

    async def submit(result: dict[str, object], tool: ToolExecutionId = execution) -> client_tools.Submitted:
        return await world.commit(lambda tx: client_tools.submit(tx, ann, run_id, tool, result), run_id)  # pyright: ignore

    assert await submit({"output": 1}, ToolExecutionId("tool_none")) == client_tools.NoSuchClientTool()
    assert isinstance(await submit({"output": {"file": "a"}}), decisions.Decided)
    assert await submit({"output": {"file": "a"}}) == client_tools.SameAgain()
    assert await submit({"output": {"file": "b"}}) == client_tools.ResultConflict()
    assert await world.read(lambda c: client_tools.result_of(c, execution)) == {"output": {"file": "a"}}
    assert await world.status(one.id) == "answered"


async def test_a_client_tools_result_that_nobody_waits_for_is_too_late(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id, source="client")
    one = await world.checkpoint(run_id, execution, kind="client_tool")
    await world.overdue(one.id)
    late = await world.commit(
        lambda tx: client_tools.submit(tx, world.caller(), run_id, execution, {"output": 1}), run_id
    )
    assert isinstance(late, client_tools.TooLate)
