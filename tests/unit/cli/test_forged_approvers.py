"""APR-12: who approved what, how and when stands in a receipt; whoever writes another name there is found."""

import base64

import pytest

from capabilities.signing import Signer, generate
from cli.receipts import decide
from cli.rhone_verify import Keyring, Report, record_hash, verify
from protocol.digest import canonical, digest
from protocol.noun import JSONObject
from tests.receipts import SIGNER, Bundle, Chain, run_head

TRUSTED = Keyring({SIGNER.key_id: base64.b64encode(SIGNER.public_key).decode()}, {})
DECISION = 4
"""The index of the decision's record: after snapshot, evidence, the gate and the question."""


def approved() -> Chain:
    chain = Chain()
    chain.approved(1)
    chain.end()
    return chain


def checked(told: Bundle) -> Report:
    return verify(canonical(told), keyring=TRUSTED, decide=decide)


def faults(told: Bundle) -> list[tuple[str, str]]:
    return [(fault.where, fault.what) for fault in checked(told).faults]


def rechained(told: Bundle) -> None:
    """Every record after the changed one names the one before it anew, as an insider would write it."""
    for before, record in zip(told["records"], told["records"][1:], strict=False):
        record["prev"] = record_hash(before)


def test_a_decision_is_told_with_its_subject_its_proof_its_time_and_its_act() -> None:
    told = approved().bundle()
    assert checked(told).ok
    record = told["records"][DECISION]
    assert {name: record["body"][name] for name in ("decision", "by", "auth_method")} == {
        "decision": "approve",
        "by": "prin_bob",
        "auth_method": "api_key",
    }
    asked = told["records"][DECISION - 1]["body"]
    assert record["body"]["envelope_digest"] == asked["envelope_digest"]
    assert record["at"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("by", "prin_eve"),
        ("auth_method", "session"),
        ("decision", "deny"),
        ("envelope_digest", digest("another act")),
        ("checkpoint_id", "ckpt_other"),
        ("at", "2026-01-01T00:00:00.000Z"),
    ],
)
def test_another_word_about_a_decision_is_found_where_it_stands(field: str, value: str) -> None:
    told = approved().bundle()
    record = told["records"][DECISION]
    (record if field == "at" else record["body"])[field] = value
    places = [where for where, _ in faults(told)]
    assert f"records[{DECISION + 1}]" in places or f"records[{DECISION}]" in places, faults(told)
    rechained(told)
    assert "head" in [where for where, _ in faults(told)]


def test_a_forged_approver_under_a_key_of_the_forger_is_not_trusted() -> None:
    """All of it is signed anew: only that the key is somebody else's can tell."""
    chain, forger = approved(), Signer(generate())
    told = chain.bundle()
    told["records"][DECISION]["body"]["by"] = "prin_eve"
    rechained(told)
    chain.records = told["records"]
    told["head"] = run_head(chain, forger)
    told["keys"][forger.key_id] = base64.b64encode(forger.public_key).decode()
    del told["log"]
    assert faults(told) == [("head", f"is signed with the key {forger.key_id}, which is not trusted")]
    assert verify(canonical(told), decide=decide).ok


def test_one_voice_that_is_counted_twice_is_found() -> None:
    chain = Chain()
    name, act = chain.call(1, "risky"), digest("act")
    said: JSONObject = {"checkpoint_id": "c", "envelope_digest": act}
    asked: JSONObject = {"status": "open", "checkpoint_kind": "approval", "required": {"count": 2}}
    chain.add("checkpoint", {**said, **asked, "tool_execution_id": name})
    for _ in range(2):
        chain.add("decision", {**said, "decision": "approve", "by": "prin_bob", "auth_method": "api_key"})
    chain.add("checkpoint", {"checkpoint_id": "c", "status": "redeemed"})
    chain.effect(name, "c", act)
    chain.end()
    assert [what for _, what in faults(chain.bundle())] == [
        "claims by c, which is redeemed, without all its approvals"
    ]
