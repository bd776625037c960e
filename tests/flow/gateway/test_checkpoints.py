"""Checkpoints: decided once, by somebody who may, over exactly what was shown."""

import asyncio
from typing import Any

from protocol.checkpoint import Checkpoint, Required
from protocol.digest import digest_bytes
from protocol.ids import RunId
from protocol.noun import JSON
from protocol.principal import Tenant
from records import checkpoints, inbox, principals, projects
from tests.flow.gateway.house import DIGEST, House, error_of

APPROVE = {"decision": "approve", "envelope_digest": DIGEST}
DENY = {"decision": "deny", "reason": "not today"}


async def decide(home: House, checkpoint: Checkpoint, body: Any, verb: str = "decide") -> Any:
    return await home.client.post(f"/v1/checkpoints/{checkpoint.id}:{verb}", json=body)


async def kinds_of(home: House, run_id: RunId) -> list[str]:
    items = (await home.client.get(f"/v1/runs/{run_id}/events", params={"limit": 200})).json()["items"]
    return [event["type"] for event in items]


async def test_an_approval_names_what_it_approves_and_is_told(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id)
    queue = (await home.client.get("/v1/checkpoints", params={"status": "open"})).json()["items"]
    assert [one["id"] for one in queue] == [checkpoint.id]
    shown = (await home.client.get(f"/v1/checkpoints/{checkpoint.id}")).json()
    answer = await decide(home, checkpoint, {**APPROVE, "envelope_digest": shown["envelope_digest"]})
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    [decision] = answer.json()["decisions"]
    assert decision["by_name"] == "admin"
    assert decision["auth_method"] == "api_key"
    assert decision["rendered_digest"] == digest_bytes(shown["rendered"].encode())
    assert (await kinds_of(home, run_id))[-1] == "checkpoint.decided"
    [heard] = await home.gateway.database.read(lambda c: inbox.take(c, run_id, 0))
    assert heard.message.kind == "checkpoint"
    await home.gateway.wakes.settle()
    assert home.engine.woken == [run_id]


async def test_an_approval_of_something_else_is_refused(home: House) -> None:
    checkpoint = await home.ask(await home.start())
    for wrong in ({"decision": "approve"}, {**APPROVE, "envelope_digest": "sha256:" + "0" * 64}):
        answer = await decide(home, checkpoint, wrong)
        assert error_of(answer) == (409, "checkpoint.digest_mismatch", "envelope_digest")
    assert await status_of(home, checkpoint) == "open"
    assert (await decide(home, checkpoint, DENY)).json()["status"] == "denied"


async def test_the_same_decision_again_is_welcome_and_another_is_not(home: House) -> None:
    approved, denied = await home.ask(await home.start()), await home.ask(await home.start())
    for checkpoint, first, other in ((approved, APPROVE, DENY), (denied, DENY, APPROVE)):
        assert (await decide(home, checkpoint, first)).status_code == 200
        again = await decide(home, checkpoint, first)
        assert (again.status_code, len(again.json()["decisions"])) == (200, 1)
        assert error_of(await decide(home, checkpoint, other))[:2] == (409, "checkpoint.closed")


async def test_of_many_decisions_at_once_one_counts(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id)
    bodies = [APPROVE if number % 2 else DENY for number in range(20)]
    answers = await asyncio.gather(*(decide(home, checkpoint, body) for body in bodies))
    won = {
        body["decision"] for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 200
    }
    assert len(won) == 1
    assert (await kinds_of(home, run_id)).count("checkpoint.decided") == 1


async def test_a_checkpoint_that_expired_or_was_cancelled_takes_no_answer(home: House) -> None:
    run_id = await home.start()
    late = await home.ask(run_id, expires_in_ms=1)
    await asyncio.sleep(0.01)
    assert error_of(await decide(home, late, APPROVE))[:2] == (410, "checkpoint.expired")
    assert await home.commit(lambda tx: checkpoints.expire(tx, late.id), run_id)
    assert error_of(await decide(home, late, DENY))[:2] == (410, "checkpoint.expired")
    cancelled = await home.ask(run_id)
    await home.end(run_id)
    assert error_of(await decide(home, cancelled, APPROVE))[:2] == (409, "checkpoint.closed")


async def test_an_approval_can_be_taken_back_until_it_is_spent(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id)
    early = await decide(home, checkpoint, {}, "revoke")
    assert error_of(early)[:2] == (409, "checkpoint.not_approved")
    await decide(home, checkpoint, APPROVE)
    taken_back = await decide(home, checkpoint, {"reason": "wrong branch"}, "revoke")
    assert (taken_back.status_code, taken_back.json()["status"]) == (200, "revoked")
    assert (await decide(home, checkpoint, {}, "revoke")).status_code == 200
    assert error_of(await decide(home, checkpoint, APPROVE))[:2] == (409, "checkpoint.closed")
    assert (await kinds_of(home, run_id))[-1] == "checkpoint.revoked"


async def test_a_deferred_checkpoint_stays_open(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id)
    answer = await decide(home, checkpoint, {"decision": "defer", "expires_in_s": 7200})
    assert answer.json()["status"] == "open"
    assert answer.json()["expires_at"] > (await _checkpoint(home, checkpoint)).expires_at.isoformat()[:10]
    assert (await kinds_of(home, run_id))[-1] == "checkpoint.deferred"
    assert (await decide(home, checkpoint, APPROVE)).json()["status"] == "approved"


async def test_a_rule_may_ask_for_a_role_and_for_several_people(home: House) -> None:
    checkpoint = await home.ask(await home.start(), required=Required(role="release", count=2))
    assert error_of(await decide(home, checkpoint, APPROVE))[:2] == (403, "checkpoint.role_missing")
    tokens = [await home.key("decide", roles=("release",)) for _ in range(2)]
    statuses: list[str] = []
    for token in (tokens[0], tokens[0], tokens[1]):
        async with home.holding(token) as person:
            answer = await person.post(f"/v1/checkpoints/{checkpoint.id}:decide", json=APPROVE)
            statuses.append(answer.json()["status"])
    assert statuses == ["open", "open", "approved"]


async def test_roles_count_as_they_are_when_the_decision_is_made(home: House) -> None:
    checkpoint = await home.ask(await home.start(), required=Required(role="release"))
    made = (await home.client.post("/v1/principals", json={"name": "ann", "roles": ["release"]})).json()
    asked = {"principal_id": made["id"], "scopes": ["decide", "read"]}
    token = (await home.client.post("/v1/keys", json=asked)).json()["secret"]
    async with home.holding(token) as ann:
        assert (await ann.get("/v1/checkpoints")).status_code == 200
        await home.client.patch(f"/v1/principals/{made['id']}", json={"roles": []})
        answer = await ann.post(f"/v1/checkpoints/{checkpoint.id}:decide", json=APPROVE)
    assert error_of(answer)[:2] == (403, "checkpoint.role_missing")


NO_ANSWERS: tuple[JSON, ...] = (
    "retry",
    {},
    {"resolution": "maybe"},
    {"resolution": "retry", "more": 1},
    None,
)


def resolved(answer: JSON) -> dict[str, JSON]:
    return {"decision": "answer", "answer": answer}


async def test_each_kind_has_its_own_words(home: House) -> None:
    approval = await home.ask(await home.start())
    question = await home.ask(await home.start(), kind="question")
    unknown = await home.ask(await home.start(), kind="outcome_unknown")
    client_tool = await home.ask(await home.start(), kind="client_tool")
    wrong: list[tuple[Checkpoint, dict[str, JSON], str, str]] = [
        (approval, {"decision": "answer", "answer": "x"}, "checkpoint.wrong_verb", "decision"),
        (approval, {"decision": "perhaps"}, "request.invalid_field", "decision"),
        (approval, {"decision": "deny", "arguments": {}}, "request.invalid_field", "arguments"),
        (approval, {**APPROVE, "expires_in_s": 5}, "request.invalid_field", "expires_in_s"),
        (approval, {"decision": "defer", "expires_in_s": 0}, "request.invalid_field", "expires_in_s"),
        (question, {"decision": "approve"}, "checkpoint.wrong_verb", "decision"),
        (question, {"decision": "answer"}, "request.invalid_field", "answer"),
        (client_tool, {"decision": "answer", "answer": 1}, "checkpoint.wrong_verb", "decision"),
        *(
            (
                unknown,
                {"decision": "answer", "answer": answer},
                "checkpoint.answer_invalid",
                "answer.resolution",
            )
            for answer in ("retry", {}, {"resolution": "maybe"}, {"resolution": "retry", "more": 1}, None)
        ),
    ]
    for checkpoint, body, code, param in wrong:
        assert error_of(await decide(home, checkpoint, body)) == (400, code, param), body
        assert await status_of(home, checkpoint) == "open"
    assert (await decide(home, question, {"decision": "answer", "answer": "blue"})).json()[
        "status"
    ] == "answered"
    retry: dict[str, JSON] = {"decision": "answer", "answer": {"resolution": "retry"}}
    assert (await decide(home, unknown, retry)).json()["status"] == "answered"


async def test_a_foreign_checkpoint_does_not_exist(home: House) -> None:
    checkpoint = await home.ask(await home.start())
    project = await home.commit(lambda tx: projects.create(tx, principals.DEFAULT.org_id, "other"))
    tenant = Tenant(org_id=principals.DEFAULT.org_id, project_id=project.id)
    async with home.holding(await home.key(tenant=tenant, roles=("admin",))) as stranger:
        for verb, body in (("decide", APPROVE), ("decide", DENY), ("revoke", {})):
            answer = await stranger.post(f"/v1/checkpoints/{checkpoint.id}:{verb}", json=body)
            assert error_of(answer)[:2] == (404, "checkpoint.not_found")
    for name in ("ckpt_01m7z49h8gekkkvqm40akpv3q3", "ckpt_x", "x" * 500, "%00", "'"):
        assert error_of(await home.client.post(f"/v1/checkpoints/{name}:decide", json=DENY))[0] == 404
    assert await status_of(home, checkpoint) == "open"


async def test_a_decision_is_made_once_per_key(home: House) -> None:
    checkpoint = await home.ask(await home.start())
    path, headers = f"/v1/checkpoints/{checkpoint.id}:decide", {"Idempotency-Key": "d"}
    first = await home.client.post(path, json=APPROVE, headers=headers)
    again = await home.client.post(path, json=APPROVE, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    other = await home.client.post(path, json=DENY, headers=headers)
    assert error_of(other)[:2] == (409, "idempotency.conflict")


async def _checkpoint(home: House, checkpoint: Checkpoint) -> Checkpoint:
    found = await home.gateway.database.read(lambda c: checkpoints.load(c, checkpoint.id))
    assert found is not None
    return found


async def status_of(home: House, checkpoint: Checkpoint) -> str:
    return (await _checkpoint(home, checkpoint)).status
