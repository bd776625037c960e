"""Recorded verdicts and kept policies: the same on both engines."""

import json
from random import Random

from capabilities.policy import Policy
from protocol.digest import digest
from protocol.noun import JSONObject
from records import snapshots
from records.receipt_tables import receipt_payloads
from records.rulings import Ruled, rulings
from tests.records.world import World
from tests.unit.capabilities.policy_worlds import a_question, expected, rules, text_of

QUESTION: JSONObject = {"tool": "bash", "arguments": {"command": "ls"}}
ALLOWED: JSONObject = {"answer": "allow", "rules": ["a"]}


async def test_verdicts_come_back_with_their_runs_and_questions(world: World) -> None:
    first, second = sorted(await world.several_runs(2))
    await world.commit(
        lambda tx: tx.attest(
            first, "snapshot", {"digest": "x"}, {"asked": [{"question": QUESTION, "verdict": ALLOWED}]}
        ),
        first,
    )
    for run_id in (first, second):
        body: JSONObject = {"tool_execution_id": "tool_1", "answer": "allow", "rule": "a", "verdict": ALLOWED}
        await world.commit(
            lambda tx, r=run_id, b=body: tx.attest(r, "gate", b, {"question": QUESTION}), run_id
        )
    await world.commit(lambda tx: tx.attest(second, "gate", {"answer": "deny"}, {"reason": "no"}), second)
    await world.commit(
        lambda tx: tx.connection.execute(
            receipt_payloads.update().where(receipt_payloads.c.run_id == second).values(salt=None, value=None)
        )
    )
    found = await world.read(lambda c: list(rulings(c, {})))
    assert found == [
        Ruled(first, world.tenant, 1, None, QUESTION, ALLOWED),
        Ruled(first, world.tenant, 2, "tool_1", QUESTION, ALLOWED, "allow", "a"),
        Ruled(second, world.tenant, 1, "tool_1", None, ALLOWED, "allow", "a"),
    ]
    assert await world.read(lambda c: list(rulings(c, {"id": second}))) == found[2:]
    assert await world.read(lambda c: list(rulings(c, {"status": "failed"}))) == []


async def test_inj_06_a_kept_policy_answers_as_before(world: World) -> None:
    """INJ-06, on both databases."""
    for seed in range(20):
        random = Random(seed)
        known = rules(random)
        policy = Policy.load([("a", text_of(known))])
        text = policy.document().decode()
        await world.commit(lambda tx, p=policy, t=text: snapshots.keep_policy(tx, p.digest, t))
        kept = await world.read(lambda c, p=policy: snapshots.policy_text(c, p.digest))
        assert kept is not None
        assert digest(json.loads(kept)) == policy.digest
        question = a_question(random)
        verdict = Policy.restore(kept.encode()).decide(question)
        assert (verdict.answer, verdict.rules) == expected(known, question)
