"""RCP-02, -04, -09, -10, -11: whatever is changed in a receipt is found, and its place is told."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from capabilities.receipts import consistency, inclusion, root
from capabilities.signing import Signer, generate
from cli.receipts import decide
from cli.rhone_verify import Keyring, Report, grown, included, verify
from protocol.digest import canonical, digest
from tests.policy_mutations import forged, mutated
from tests.receipts import BRIEF, SIGNER, Bundle, Chain, log_of, run_head, small

PUBLIC = base64.b64encode(SIGNER.public_key).decode()
TRUSTED = Keyring({SIGNER.key_id: PUBLIC}, {})
GOOD = canonical(small().bundle())


def checked(bundle: Bundle, **more: Any) -> Report:
    return verify(canonical(bundle), keyring=TRUSTED, **more)


def bundle() -> Bundle:
    return json.loads(GOOD)


def places(report: Report) -> list[str]:
    return [fault.where for fault in report.faults]


def test_a_good_receipt_holds_and_every_verdict_is_derived_again() -> None:
    """RCP-04: grants, denials, downgrades and each call."""
    report = checked(bundle(), decide=decide)
    assert (report.faults, report.notes) == ([], [])
    assert (report.records, report.derived) == (len(bundle()["records"]), 7)


def test_without_the_engine_it_says_that_the_policy_was_not_asked_again() -> None:
    assert checked(bundle()).notes == ["the policy was not asked again: its engine is not here"]


def test_without_keys_it_says_that_nobody_vouches_for_them() -> None:
    report = verify(GOOD, decide=decide)
    assert report.ok
    assert report.notes == ["the keys are the receipt's own: --key says whom you trust"]


def _cut(told: Bundle) -> None:
    del told["records"][4]


def _swapped(told: Bundle) -> None:
    records = told["records"]
    records[3], records[4] = records[4], records[3]


def _inserted(told: Bundle) -> None:
    told["records"].insert(4, dict(told["records"][3], ordinal=5))


def _of_another_run(told: Bundle) -> None:
    told["records"][4]["run_id"] = "run_other"


def _spliced(told: Bundle) -> None:
    other = Chain()
    other.call(9, "another")
    told["records"][2] = other.records[2]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_cut, "records[4]"),
        (_swapped, "records[3]"),
        (_inserted, "records[4]"),
        (_of_another_run, "records[4]"),
        (_spliced, "records[2]"),
        (lambda told: told["records"][6]["body"].update(answer="allow"), "records[6]"),
        (lambda told: told["records"][6].update(prev=digest(1)), "records[6]"),
        (lambda told: told["records"][0].update(prev=digest(1)), "records[0]"),
        (lambda told: told["records"].pop(), "head"),
        (lambda told: told["payloads"]["3"].update(salt="00" * 16), "payloads.3"),
        (lambda told: told["payloads"]["13"].update(salt="0" * 31 + "D"), "payloads.13"),
        (lambda told: told["payloads"]["3"].update(more=1), "payloads.3"),
        (lambda told: told["payloads"].pop("3"), "payloads.3"),
        (lambda told: told["snapshot"]["document"].update(principal="prin_eve"), "snapshot.document"),
        (lambda told: told["snapshot"].update(id="capsnap_other"), "snapshot"),
        (lambda told: told["evidence"][0]["body"].update(memory_mb=513), "evidence[0]"),
        (lambda told: told["policies"].update({digest(1): "{}"}), f"policies.{digest(1)}"),
        (lambda told: told["head"]["statement"].update(at="2027-01-02T03:04:05.000Z"), "head"),
        (lambda told: told["head"]["statement"].update(alg="none"), "head"),
        (lambda told: told.pop("head"), "head"),
        (lambda told: told["log"].update(position=3), "log"),
        (lambda told: told["log"]["proof"].pop(), "log"),
        (lambda told: told.update(complete=False), "complete"),
        (lambda told: told.update(format="rhone.receipt.0"), "format"),
        (lambda told: told.update(more=1), "more"),
    ],
)
def test_what_is_changed_is_found_where_it_is(change: Callable[[Bundle], object], place: str) -> None:
    told = bundle()
    change(told)
    report = checked(told)
    assert place in places(report), report.faults


def flips(count: int, seed: int, *receipts: bytes) -> Iterator[bytes]:
    """Receipts with one bit turned round: so many of all bits that they have."""
    bits = [(receipt, at) for receipt in receipts for at in range(8 * len(receipt))]
    for receipt, at in random.Random(seed).sample(bits, count):
        data = bytearray(receipt)
        data[at // 8] ^= 1 << at % 8
        yield bytes(data)


def test_every_flipped_bit_is_found() -> None:
    """RCP-02, a sample; `slow` has the hundred thousand."""
    for data in flips(150, 1, GOOD):
        assert found_in(verify(data, keyring=TRUSTED))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_each_of_a_hundred_thousand_flipped_bits_is_found() -> None:
    """RCP-02, of the smallest receipts of an approved act and of a denied one."""
    approved, denied = (Chain(policy=BRIEF, tools=("bash",)) for _ in range(2))
    approved.approved(1)
    denied.call(1, "forbidden")
    receipts: list[bytes] = []
    for chain in (approved, denied):
        chain.end()
        receipts.append(canonical(chain.bundle()))
        assert verify(receipts[-1], keyring=TRUSTED).ok
    for data in flips(100_000, 2, *receipts):
        assert found_in(verify(data, keyring=TRUSTED))


def found_in(report: Report) -> bool:
    """Whether something was found, and all that was found has its place and its words."""
    return not report.ok and all(fault.where and fault.what for fault in report.faults)


def objects(value: Any) -> Iterator[Bundle]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(part)


def test_a_name_that_is_added_anywhere_is_found() -> None:
    for index in range(len(list(objects(bundle())))):
        told = bundle()
        list(objects(told))[index]["more"] = 1
        assert not checked(told).ok, list(objects(bundle()))[index]


def test_a_key_that_stands_twice_is_no_receipt() -> None:
    data = GOOD.replace(b'"format":', b'"format":"x","format":', 1)
    report = verify(data, keyring=TRUSTED)
    assert [fault.what for fault in report.faults] == ["the key 'format' stands twice"]


def test_a_tail_that_is_cut_is_found_against_a_saved_head() -> None:
    """RCP-02."""
    chain = small()
    saved = run_head(chain)
    told = chain.bundle()
    told["records"] = told["records"][:-2]
    told["payloads"].pop("13")
    del told["head"], told["log"]
    told["complete"] = False
    assert checked(told).ok
    report = checked(told, saved=saved)
    assert places(report) == ["records[12]"]
    assert report.faults[0].what == "the tail is cut: there were 14"


def test_another_signers_receipt_is_not_trusted() -> None:
    """Somebody signs all of it anew, with a key of their own."""
    other = Signer(generate())
    chain = small()
    told = chain.bundle()
    del told["log"]
    told["head"] = run_head(chain, other)
    told["keys"][other.key_id] = base64.b64encode(other.public_key).decode()
    assert verify(canonical(told)).ok
    assert [fault.what for fault in checked(told).faults] == [
        f"is signed with the key {other.key_id}, which is not trusted"
    ]


def test_old_receipts_hold_after_a_rotation_and_signatures_after_a_revocation_do_not() -> None:
    """RCP-09."""
    new = Signer(generate())
    keys = {SIGNER.key_id: PUBLIC, new.key_id: base64.b64encode(new.public_key).decode()}
    rotated = Keyring(keys, {SIGNER.key_id: "2026-06-01T00:00:00.000Z"})
    assert verify(GOOD, keyring=rotated).ok
    told = bundle()
    told["head"] = run_head(small(), at="2026-07-01T00:00:00.000Z")
    report = verify(canonical(told), keyring=rotated)
    assert places(report) == ["head"]
    assert report.faults[0].what.endswith("revoked since 2026-06-01T00:00:00.000Z")


def test_two_heads_of_a_forked_log_are_shown() -> None:
    """RCP-10: the same project tells one reader this story, and another one that."""
    chain = small()
    mine = [bytes([n]) * 32 for n in range(6)]
    told = chain.bundle(others=6, position=2, since=4)
    saved = log_of(mine, 0, 1)["head"]
    assert saved["statement"]["size"] == 6
    report = checked(told, saved=saved)
    assert places(report) == ["saved head"]
    later = chain.bundle(others=6, position=2, since=6)
    report = checked(later, saved=saved)
    assert [tuple(fault) for fault in report.faults] == [
        ("log.earlier", "the log had another root at size 6: it is forked")
    ]
    later["log"]["earlier"]["root"] = saved["statement"]["root"]
    report = checked(later, saved=saved)
    assert [tuple(fault) for fault in report.faults] == [
        ("log.earlier", "the log did not grow out of that head: it is forked")
    ]


def test_a_log_that_only_grew_is_proven_to_have_grown() -> None:
    leaves = [bytes([n]) * 32 for n in range(20)]
    for size in range(1, 20):
        now = leaves[:size]
        for since in range(1, size + 1):
            roots = grown(since, size, root(now[:since]), consistency(now, since))
            assert roots == (root(now[:since]), root(now)), (size, since)
            forked = [b"x" * 32, *now[1:since]]
            assert grown(since, size, root(forked), consistency(now, since)) != (root(forked), root(now))
        for position in range(size):
            proof = inclusion(now, position)
            assert included(now[position], position, size, proof) == root(now)
            assert included(b"x" * 32, position, size, proof) != root(now)


def test_an_erased_payload_is_gone_and_the_chain_holds() -> None:
    """RCP-11."""
    told = bundle()
    told["payloads"]["3"] = None
    report = checked(told, decide=decide)
    assert report.ok
    assert report.notes == ["1 payloads have been erased"]
    assert report.derived == 6


def test_an_effect_that_nothing_allowed_is_found() -> None:
    chain = Chain()
    chain.effect(chain.call(1, "forbidden"))
    chain.end()
    assert [tuple(fault) for fault in checked(chain.bundle()).faults] == [
        ("records[3]", "claims an effect that nothing allowed")
    ]


def test_an_effect_under_an_approval_of_another_act_is_found() -> None:
    chain = Chain()
    name = chain.call(1, "risky")
    said: dict[str, Any] = {"checkpoint_id": "c", "tool_execution_id": name, "required": {"count": 1}}
    asked = {"status": "open", "checkpoint_kind": "approval", "envelope_digest": digest("this")}
    chain.add("checkpoint", said | asked)
    decision = {"checkpoint_id": "c", "decision": "approve", "by": "bob", "envelope_digest": digest("this")}
    chain.add("decision", decision)
    chain.add("checkpoint", {"checkpoint_id": "c", "status": "redeemed"})
    chain.effect(name, "c", digest("that"))
    chain.end()
    assert [fault.what for fault in checked(chain.bundle()).faults] == [
        "claims another act than the one that was approved"
    ]


@pytest.mark.parametrize("count", [25, pytest.param(500, marks=pytest.mark.slow)])
def test_a_policy_that_decides_otherwise_is_flagged_where_it_does(count: int) -> None:
    """RCP-04: rules are dropped and turned; the receipt is forged to name the changed text throughout."""
    chosen = random.Random(4)
    flagged = 0
    for _ in range(count):
        policy = mutated(chosen)
        told, changed = forged(policy)
        report = checked(told, decide=decide)
        found = {fault.where for fault in report.faults if "the policy answers" in fault.what}
        assert found == changed
        flagged += bool(changed)
    assert 0 < flagged < count
