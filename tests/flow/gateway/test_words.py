"""What is said to a run is in its inbox, with its event, before it is answered; then the run is woken."""

from typing import Any

from protocol.ids import RunId
from protocol.inbox import Cancel, Interrupt, LimitsRaised, Message, Sent
from protocol.run import LimitsPatch
from records import blocks, inbox, runs
from tests.flow.gateway.house import House, error_of


async def heard(home: House, run_id: RunId) -> list[Message]:
    items = await home.gateway.database.read(lambda c: inbox.take(c, run_id, 0))
    assert [item.position for item in items] == list(range(1, len(items) + 1))
    return [item.message for item in items]


async def say(home: House, run_id: RunId, verb: str, body: Any = None) -> Any:
    answer = await home.client.post(f"/v1/runs/{run_id}:{verb}", json=body)
    await home.gateway.wakes.settle()
    return answer


async def last_event(home: House, run_id: RunId) -> dict[str, Any]:
    page = await home.client.get(f"/v1/runs/{run_id}/events", params={"limit": 200})
    return page.json()["items"][-1]


async def test_sent_words_wait_in_a_block_and_are_told(home: House) -> None:
    run_id = await home.start()
    answer = await say(home, run_id, "send", {"input": "look at the tests first"})
    assert (answer.status_code, answer.json()["last_seq"]) == (200, 3)
    event = await last_event(home, run_id)
    assert (event["type"], event["seq"]) == ("input.received", 3)
    [told] = event["blocks"]
    assert told["content"] == [{"type": "text", "text": "look at the tests first"}]
    assert await heard(home, run_id) == [Sent(block_id=told["id"])]
    head = (await home.client.get(f"/v1/sessions/{answer.json()['session_id']}/blocks")).json()
    assert told["id"] not in [block["id"] for block in head["blocks"]]
    [kept] = await home.gateway.database.read(lambda c: blocks.by_ids(c, [told["id"]]))
    assert kept.run_id == run_id
    assert home.engine.woken == [run_id]


async def test_several_blocks_keep_their_order(home: House) -> None:
    run_id = await home.start()
    parts = [{"type": "input", "content": [{"type": "text", "text": text}]} for text in ("one", "two")]
    await say(home, run_id, "send", {"blocks": parts})
    ids = [block["id"] for block in (await last_event(home, run_id))["blocks"]]
    assert await heard(home, run_id) == [Sent(block_id=block_id) for block_id in ids]


async def test_an_interrupt_may_bring_words(home: House) -> None:
    run_id = await home.start()
    assert (await say(home, run_id, "interrupt")).status_code == 200
    await say(home, run_id, "interrupt", {"message": "stop that", "behavior": "save_marked"})
    [told] = (await last_event(home, run_id))["blocks"]
    assert await heard(home, run_id) == [
        Interrupt(behavior="discard"),
        Interrupt(behavior="save_marked", block_id=told["id"]),
    ]


async def test_limits_are_raised_at_once(home: House) -> None:
    run_id = await home.start(limits={"max_turns": 3})
    answer = await say(home, run_id, "resume", {"limits": {"max_turns": 30}})
    assert answer.json()["limits"]["max_turns"] == 30
    assert answer.json()["limits"]["max_tool_calls"] == 200
    assert await heard(home, run_id) == [LimitsRaised(limits=LimitsPatch(max_turns=30))]


async def test_a_cancel_is_committed_and_repeating_it_is_harmless(home: House) -> None:
    run_id = await home.start()
    assert (await say(home, run_id, "cancel", {"reason": "enough"})).status_code == 200
    assert (await say(home, run_id, "cancel")).status_code == 200
    assert await heard(home, run_id) == [Cancel(reason="enough"), Cancel()]


async def test_a_lost_wake_up_does_not_matter_to_the_answer(home: House) -> None:
    run_id = await home.start()
    home.engine.away = True
    assert (await say(home, run_id, "cancel")).status_code == 200
    assert await heard(home, run_id) == [Cancel()]
    assert await home.gateway.database.read(inbox.unseen) == [run_id]


async def test_a_run_that_has_ended_hears_nothing(home: House) -> None:
    run_id = await home.start()
    await home.end(run_id)
    for verb, body in (
        ("send", {"input": "x"}),
        ("interrupt", {}),
        ("resume", {"limits": {}}),
        ("cancel", {}),
    ):
        assert error_of(await say(home, run_id, verb, body))[:2] == (409, "run.ended")
    assert await heard(home, run_id) == []


async def test_words_that_are_none_are_refused(home: House) -> None:
    run_id = await home.start()
    for verb, body, param in (
        ("send", {}, None),
        ("send", {"input": ""}, "input"),
        ("send", {"input": "x", "blocks": []}, "blocks"),
        ("send", {"blocks": [{"content": [{"type": "asset", "asset_id": "a"}]}]}, "blocks[0].content[0]"),
        ("interrupt", {"behavior": "forget"}, "behavior"),
        ("interrupt", {"mesage": "x"}, "mesage"),
        ("resume", {}, "limits"),
        ("resume", {"limits": {"max_turns": -1}}, "limits.max_turns"),
        ("cancel", {"reason": 1}, "reason"),
    ):
        status, _, named = error_of(await say(home, run_id, verb, body))
        assert (status, named) == (400, param), (verb, body)
    assert error_of(await say(home, run_id, "frobnicate", {}))[0] in (404, 405)
    assert await heard(home, run_id) == []


async def test_all_open_runs_are_stopped_at_once(home: House) -> None:
    ids = [await home.start(metadata={"n": str(number)}) for number in range(4)]
    await home.end(ids[0])
    session = (await home.client.get(f"/v1/runs/{ids[1]}")).json()["session_id"]
    one = await home.client.post("/v1/runs:cancel", json={"filter": {"session_id": session}})
    assert one.json() == {"run_ids": [ids[1]], "more": False}
    headers = {"Idempotency-Key": "stop"}
    rest = await home.client.post("/v1/runs:cancel", json={"filter": {}, "reason": "fire"}, headers=headers)
    assert rest.json()["run_ids"] == ids[1:]
    again = await home.client.post("/v1/runs:cancel", json={"filter": {}, "reason": "fire"}, headers=headers)
    assert again.json()["run_ids"] == ids[1:]
    assert await heard(home, ids[2]) == [Cancel(reason="fire")]
    await home.gateway.wakes.settle()
    assert sorted(home.engine.woken) == sorted([ids[1], *ids[1:]])
    assert error_of(await home.client.post("/v1/runs:cancel", json={}))[0] == 400


async def test_the_result_of_a_client_tool_is_handed_in_once(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id, kind="client_tool")
    path = f"/v1/runs/{run_id}/client-tools/{checkpoint.tool_execution_id}:submit"
    first = await home.client.post(path, json={"output": {"file": "a.txt"}})
    assert (first.status_code, first.json()["id"]) == (200, checkpoint.tool_execution_id)
    same = await home.client.post(path, json={"output": {"file": "a.txt"}})
    assert same.status_code == 200
    for other in ({"output": {"file": "b.txt"}}, {"output": None}, {"error": "no"}):
        assert error_of(await home.client.post(path, json=other))[:2] == (409, "tool.result_conflict")
    answered = (await home.client.get(f"/v1/checkpoints/{checkpoint.id}")).json()
    assert answered["status"] == "answered"


async def test_a_result_that_nobody_waits_for_is_refused(home: House) -> None:
    run_id, other = await home.start(), await home.start()
    approval = await home.ask(run_id)
    mine = await home.ask(run_id, kind="client_tool")
    late = await home.ask(other, kind="client_tool")
    await home.end(other)

    async def submit(run: str, tool: object, body: Any) -> Any:
        return await home.client.post(f"/v1/runs/{run}/client-tools/{tool}:submit", json=body)

    for body in ({}, {"output": 1, "error": 2}, {"result": 1}):
        assert error_of(await submit(run_id, mine.tool_execution_id, body))[0] == 400
    for run, tool in (
        (run_id, approval.tool_execution_id),
        (other, mine.tool_execution_id),
        (run_id, "tool_01m7z49h8gekkkvqm40akpv3q3"),
        (run_id, "x"),
    ):
        assert error_of(await submit(run, tool, {"output": 1}))[:2] == (404, "tool.not_found")
    closed = error_of(await submit(other, late.tool_execution_id, {"output": 1}))
    assert closed[:2] == (409, "checkpoint.closed")


async def test_words_before_the_run_is_taken_up_are_kept(home: House) -> None:
    made = (await home.client.post("/v1/runs", json={"input": "x", "model": "smart"})).json()
    run_id = RunId(made["id"])
    assert (await say(home, run_id, "cancel")).status_code == 200
    assert await heard(home, run_id) == [Cancel()]
    record = await home.gateway.database.read(lambda c: runs.load(c, run_id))
    assert record is not None
    assert record.inbox_last == 1
