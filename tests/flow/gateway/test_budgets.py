"""Budgets over HTTP: objects by name, and the door that a model without a price does not pass."""

import pytest

from tests.flow.gateway.house import House

TEAM = {"max_cost_usd": 10.0, "period": "month"}
NONE = {"tokens": 0, "cost_usd": 0.0, "seconds": 0.0}
NONE |= {f"held_{name}": count for name, count in NONE.items()}


async def test_a_budget_is_put_read_listed_and_deleted(home: House) -> None:
    made = await home.client.put("/v1/budgets/team", json=TEAM)
    assert made.status_code == 201
    expected = {"name": "team", "scope": "project", "period": "month", "max_cost_usd": 10.0, "spent": NONE}
    assert made.json().items() >= (expected | {"on_exceed": "stop", "declared": False}).items()
    again = await home.client.put("/v1/budgets/team", json=TEAM | {"on_exceed": "ask"})
    assert (again.status_code, again.json()["on_exceed"]) == (200, "ask")
    listed = await home.client.get("/v1/budgets")
    assert [one["name"] for one in listed.json()["items"]] == ["team"]
    assert (await home.client.delete("/v1/budgets/team")).status_code == 204
    gone = await home.client.get("/v1/budgets/team")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "quota.budget_not_found")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "max_tokens"),
        ({"max_tokens": 5, "actor_id": "ann"}, "actor_id"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "period": "week"}, "period"),
        ({"max_tokens": 5, "period": "day", "scope": "run"}, "period"),
        ({"max_seconds": 0.5}, "max_seconds"),
        ({"max_tokens": 5, "scope": "subtree"}, "scope"),
    ],
)
async def test_a_budget_that_limits_nothing_is_refused(
    home: House, body: dict[str, object], words: str
) -> None:
    refused = await home.client.put("/v1/budgets/team", json=body)
    assert refused.status_code == 400
    assert words in refused.json()["error"]["message"]


async def test_a_name_that_no_path_can_carry_is_refused(home: House) -> None:
    refused = await home.client.put("/v1/budgets/.team", json=TEAM)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "name")


async def test_an_actor_s_account_is_shown_when_the_actor_is_named(home: House) -> None:
    await home.client.put("/v1/budgets/each", json={"scope": "actor", "max_tokens": 5})
    plain = await home.client.get("/v1/budgets/each")
    assert plain.json().get("spent") is None
    named = await home.client.get("/v1/budgets/each", params={"actor_id": "ann"})
    assert named.json()["spent"] == NONE


async def test_a_run_s_account_is_shown_when_the_run_is_named_and_no_call_has_one(home: House) -> None:
    for scope in ("run", "call"):
        made = await home.client.put(f"/v1/budgets/{scope}", json={"scope": scope, "max_seconds": 5})
        assert (made.status_code, made.json()["spent"]) == (201, None)
    named = await home.client.get("/v1/budgets/run", params={"run_id": await home.start()})
    assert named.json()["spent"] == NONE


async def test_a_limit_in_dollars_is_not_put_on_a_run_whose_model_has_no_price(home: House) -> None:
    run_id = await home.start()
    body = {"limits": {"max_cost_usd": 1.0}}
    refused = await home.client.post(f"/v1/runs/{run_id}:resume", json=body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (
        400,
        "model.unpriced",
        "limits.max_cost_usd",
    )


async def test_a_run_whose_model_has_no_price_is_not_made_under_a_budget_in_dollars(home: House) -> None:
    await home.client.put("/v1/budgets/team", json=TEAM)
    refused = await home.client.post("/v1/runs", json={"input": "a", "model": "local/m1"})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "model.unpriced", "model")
    made = await home.client.post("/v1/runs", json={"input": "a", "model": "local/m2"})
    assert made.status_code == 201
