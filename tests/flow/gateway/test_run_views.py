"""What a run consists of, as it is read from outside."""

from protocol.block import ResponseBlock, TextPart
from protocol.digest import digest
from protocol.ids import BlockId, CallId, RunId, derived
from protocol.usage import Usage
from records import blocks, calls, runs, steps
from records.tx import Tx
from tests.flow.gateway.house import House, error_of


async def turn(home: House, run_id: RunId, step: int, text: str) -> CallId:
    """A model call that was answered with a text."""
    call_id = CallId(derived("call_", run_id, step))

    def unit(tx: Tx) -> None:
        record = runs.load(tx.connection, run_id)
        assert record is not None
        steps.start(tx, run_id, step, call_id)
        new = calls.NewCall(
            id=call_id,
            tenant=record.tenant,
            session_id=record.run.session_id,
            run_id=run_id,
            step=step,
            model="smart",
            resolved_model="local/m1",
        )
        calls.create(tx, new)
        attempt = calls.start_attempt(tx, call_id)
        assert attempt is not None
        calls.complete(tx, call_id, attempt, calls.CallResult(usage=Usage(), stop_reason="stop"))
        answer = ResponseBlock(
            id=BlockId(derived("blk_", call_id, 0)),
            session_id=record.run.session_id,
            run_id=run_id,
            call_id=call_id,
            created_at=tx.now,
            content=(TextPart(text=text),),
        )
        blocks.add(tx, record.history, [answer])
        steps.complete(tx, run_id, step)

    await home.commit(unit, run_id)
    return call_id


async def test_a_runs_parts_are_listed_oldest_first_in_pages(home: House) -> None:
    run_id = await home.start()
    ids = [await turn(home, run_id, step, f"turn {step}") for step in (1, 2, 3)]
    checkpoint = await home.ask(run_id)
    path = f"/v1/runs/{run_id}"
    whole = (await home.client.get(f"{path}/calls")).json()
    assert [call["id"] for call in whole["items"]] == ids
    assert [step["index"] for step in (await home.client.get(f"{path}/steps")).json()["items"]] == [1, 2, 3]
    tools = (await home.client.get(f"{path}/tool-executions")).json()["items"]
    assert [tool["checkpoint_id"] for tool in tools] == [checkpoint.id]
    asked = (await home.client.get(f"{path}/checkpoints")).json()["items"]
    assert [one["id"] for one in asked] == [checkpoint.id]
    newest = (await home.client.get(f"{path}/steps", params={"order": "desc", "limit": 2})).json()
    assert [step["index"] for step in newest["items"]] == [3, 2]
    rest = {"order": "desc", "cursor": newest["next_cursor"]}
    last = (await home.client.get(f"{path}/steps", params=rest)).json()
    assert ([step["index"] for step in last["items"]], last["next_cursor"]) == ([1], None)
    wrong = await home.client.get(f"{path}/steps", params={"cursor": "x"})
    assert error_of(wrong) == (400, "request.cursor_invalid", "cursor")


async def test_the_snapshot_comes_with_its_evidence(home: House) -> None:
    run_id = await home.start()
    early = await home.client.get(f"/v1/runs/{run_id}/capability-snapshot")
    assert error_of(early)[:2] == (404, "run.not_resolved")
    snapshot_id = await home.resolve(run_id)
    shown = (await home.client.get(f"/v1/runs/{run_id}/capability-snapshot")).json()
    assert shown["id"] == snapshot_id
    assert shown["digest"] == digest(shown["document"])
    assert [one["body"] for one in shown["evidence"]] == [{"ok": True}]
    assert (await home.client.get(f"/v1/capability-snapshots/{snapshot_id}")).json() == shown


async def test_the_request_of_a_step_is_what_the_model_saw_then(home: House) -> None:
    run_id = await home.start()
    await home.resolve(run_id)
    for step in (1, 2):
        await turn(home, run_id, step, f"turn {step}")
    await home.end(run_id)
    path = f"/v1/runs/{run_id}/effective-request"
    texts = []
    for step in (1, 2):
        shown = (await home.client.get(path, params={"step": step})).json()
        assert shown["request"]["model"] == "m1"
        texts.append([block["content"][0]["text"] for block in shown["request"]["blocks"]])
    assert texts == [["do it"], ["do it", "turn 1"]]
    missing = await home.client.get(path, params={"step": 3})
    assert error_of(missing) == (404, "run.step_not_found", "step")
    assert error_of(await home.client.get(path)) == (400, "request.invalid_parameter", "step")


async def test_where_nobody_can_look_into_a_work_tree_that_is_said(home: House) -> None:
    run_id = await home.start()
    diff = await home.client.get(f"/v1/runs/{run_id}/diff")
    assert error_of(diff)[:2] == (404, "run.diff_unavailable")
    home.engine.away = True
    away = await home.client.get(f"/v1/runs/{run_id}/diff")
    assert error_of(away)[:2] == (503, "engine.unavailable")


async def test_models_are_listed_under_their_full_names(home: House) -> None:
    models = (await home.client.get("/v1/models", headers={"Rhone-Version": "1"})).json()
    assert [(model["id"], model["aliases"]) for model in models["items"]] == [
        ("local/m1", ["smart"]),
        ("local/m2", []),
    ]
