"""One decision over several acts: over all of them, or over none."""

from typing import Any

import pytest

from protocol.checkpoint import Checkpoint, Required
from protocol.ids import RunId
from protocol.noun import JSON
from protocol.principal import Tenant
from records import checkpoints, principals, projects
from tests.flow.gateway.house import DIGEST, House, error_of

WRONG = "sha256:" + "0" * 64


def item(checkpoint: Checkpoint | str, digest: str | None = DIGEST) -> dict[str, JSON]:
    return {"id": checkpoint if isinstance(checkpoint, str) else checkpoint.id, "envelope_digest": digest}


async def decide(home: House, items: list[Any], decision: str = "approve", **more: Any) -> Any:
    body = {"decision": decision, "items": items}
    return await home.client.post("/v1/checkpoints:decide", json=body, **more)


async def three(home: House) -> list[Checkpoint]:
    """Two of one run, one of another."""
    first, second = await home.start(), await home.start()
    return [await home.ask(first), await home.ask(second), await home.ask(first)]


async def statuses(home: House, asked: list[Checkpoint]) -> list[str]:
    found = await home.gateway.database.read(lambda c: checkpoints.by_ids(c, [one.id for one in asked]))
    return [one.status for one in sorted(found, key=lambda one: [it.id for it in asked].index(one.id))]


async def decided(home: House, run_id: RunId) -> int:
    page = (await home.client.get(f"/v1/runs/{run_id}/events", params={"limit": 200})).json()
    return [event["type"] for event in page["items"]].count("checkpoint.decided")


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("deny", "denied")])
async def test_all_are_decided_together_and_each_run_is_told(home: House, decision: str, status: str) -> None:
    asked = await three(home)
    answer = await decide(home, [item(one) for one in asked], decision)
    assert answer.status_code == 200, answer.text
    assert [(one["id"], one["status"]) for one in answer.json()["items"]] == [(c.id, status) for c in asked]
    assert [await decided(home, run) for run in (asked[0].run_id, asked[1].run_id)] == [2, 1]
    await home.gateway.wakes.settle()
    assert sorted(home.engine.woken) == sorted({one.run_id for one in asked})
    again = await decide(home, [item(one) for one in asked], decision)
    assert again.json() == answer.json()


async def test_one_that_is_another_act_keeps_all_undecided(home: House) -> None:
    asked = await three(home)
    answer = await decide(home, [item(asked[0]), item(asked[1]), item(asked[2], WRONG)])
    assert error_of(answer) == (409, "checkpoint.digest_mismatch", "items[2].envelope_digest")
    assert answer.json()["error"]["details"] == {"envelope_digest": DIGEST}
    assert await statuses(home, asked) == ["open"] * 3
    assert await decided(home, asked[0].run_id) == 0


async def test_each_is_checked_as_if_it_stood_alone(home: House) -> None:
    run_id = await home.start()
    fine = await home.ask(run_id)
    role = await home.ask(run_id, required=Required(role="release"))
    question = await home.ask(run_id, kind="question")
    late = await home.ask(run_id, expires_in_ms=1)
    denied = await home.ask(run_id)
    body = {"decision": "deny"}
    await home.client.post(f"/v1/checkpoints/{denied.id}:decide", json=body)
    project = await home.commit(lambda tx: projects.create(tx, principals.DEFAULT.org_id, "other"))
    tenant = Tenant(org_id=principals.DEFAULT.org_id, project_id=project.id)
    wrong: list[tuple[Any, int, str, str]] = [
        (item(role), 403, "checkpoint.role_missing", "items[1].id"),
        (item(question), 400, "checkpoint.wrong_verb", "items[1].id"),
        (item(late), 410, "checkpoint.expired", "items[1].id"),
        (item(denied), 409, "checkpoint.closed", "items[1].id"),
        (item(fine), 400, "request.invalid_field", "items[1].id"),
        (item("ckpt_x"), 404, "checkpoint.not_found", "items[1].id"),
        (item(role, None), 403, "checkpoint.role_missing", "items[1].id"),
        ({"id": role.id, "more": 1}, 400, "request.unknown_field", "items[1].more"),
        ({}, 400, "request.invalid_field", "items[1].id"),
    ]
    for second, *expected in wrong:
        assert list(error_of(await decide(home, [item(fine), second]))) == expected, second
    async with home.holding(await home.key(tenant=tenant, roles=("admin",))) as stranger:
        answer = await stranger.post(
            "/v1/checkpoints:decide", json={"decision": "approve", "items": [item(fine)]}
        )
        assert error_of(answer) == (404, "checkpoint.not_found", "items[0].id")
    assert await statuses(home, [fine]) == ["open"]


async def test_the_list_is_neither_empty_nor_endless(home: House) -> None:
    for items in ([], [item(f"ckpt_{number}") for number in range(101)]):
        assert error_of(await decide(home, items))[1:] == ("request.invalid_field", "items")
    assert error_of(await decide(home, [item("x")], "answer"))[1:] == ("request.invalid_field", "decision")


async def test_a_quorum_that_lacks_voices_stays_open_among_those_that_close(home: House) -> None:
    run_id = await home.start()
    asked = [await home.ask(run_id), await home.ask(run_id, required=Required(count=2))]
    answer = await decide(home, [item(one) for one in asked])
    assert [(one["status"], one["approvals"]) for one in answer.json()["items"]] == [
        ("approved", 1),
        ("open", 1),
    ]


async def test_asked_again_under_one_key_it_is_answered_again(home: House) -> None:
    items = [item(one) for one in await three(home)]
    headers = {"Idempotency-Key": "several"}
    first = await decide(home, items, headers=headers)
    again = await decide(home, items, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
