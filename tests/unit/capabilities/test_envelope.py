"""The exact act: what its digest covers, and what it does not."""

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities.catalogue import Catalogue
from capabilities.envelope import Act, advisory, binding, envelope_of
from protocol.checkpoint import Envelope, PushFacts
from protocol.digest import MAX_SAFE, canonical, digest
from protocol.errors import InvalidRequest
from protocol.ids import RunId, SnapshotId, ToolExecutionId
from protocol.noun import JSON, JSONObject
from protocol.strict import decode, validate
from protocol.tool import ToolDefinition

BASH = Catalogue().get("bash")
assert BASH is not None
PUSH = PushFacts(
    repository="forge/demo",
    ref="refs/heads/rhone/fix",
    expected_old="1" * 40,
    new="2" * 40,
    base="3" * 40,
    diff_digest="sha256:" + "4" * 64,
)


def act(arguments: JSONObject, definition: ToolDefinition = BASH, **changes: object) -> Act:
    whole = Act(
        run_id=RunId("run_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        snapshot_id=SnapshotId("capsnap_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        policy_digest="sha256:" + "5" * 64,
        definition=definition,
        definition_digest="sha256:" + "6" * 64,
        tool_execution_id=ToolExecutionId("tool_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        arguments=arguments,
        target="dev",
        cwd="/workspace",
        environment=("PATH", "HOME"),
        files={"run.sh": "sha256:" + "7" * 64},
        push=PUSH,
    )
    return whole.model_copy(update=changes)


ENVELOPE = envelope_of(act({"command": "pytest -q\n\u001b[2Jé\u202e", "timeout_ms": 1000}))


def test_an_envelope_holds_the_act_without_its_advisory_words() -> None:
    arguments: JSONObject = {"command": "ls", "description": "list"}
    envelope = envelope_of(act(arguments, environment=("B", "A", "B")))
    assert envelope.arguments == {"command": "ls"}
    assert envelope.environment == ("A", "B")
    assert advisory(BASH, arguments) == {"description": "list"}


def test_one_changed_byte_anywhere_is_another_act() -> None:
    """APR-01, 10,000 changes: what still reads as an envelope, a different one, fits no approval of it."""
    approved, body = digest(ENVELOPE), canonical(ENVELOPE)
    chance = random.Random(7)
    tried = spent = 0
    while tried < 10_000:
        at, byte = chance.randrange(len(body)), chance.randrange(256)
        changed = body[:at] + bytes([byte]) + body[at + 1 :]
        envelope = read(changed)
        if envelope == ENVELOPE:  # the same byte, or another spelling of the same act
            continue
        tried += 1
        spent += envelope is not None and digest(envelope) == approved
    assert spent == 0


def read(body: bytes) -> Envelope | None:
    try:
        return validate(Envelope, decode(body))
    except InvalidRequest:
        return None


def test_every_field_of_an_envelope_is_covered() -> None:
    changes: dict[str, object] = {
        "run_id": "run_x",
        "snapshot_id": "capsnap_x",
        "policy_digest": "x",
        "tool": "x",
        "definition_digest": "x",
        "tool_execution_id": "tool_x",
        "arguments": {},
        "target": None,
        "cwd": "/",
        "environment": ("PATH",),
        "files": {},
        "push": None,
        "envelope_version": 2,
    }
    assert set(changes) == set(Envelope.model_fields)
    for field, value in changes.items():
        assert digest(ENVELOPE.model_copy(update={field: value})) != digest(ENVELOPE), field


def test_every_fact_of_a_push_is_covered() -> None:
    for field in PushFacts.model_fields:
        push = PUSH.model_copy(update={field: "x"})
        assert digest(ENVELOPE.model_copy(update={"push": push})) != digest(ENVELOPE), field


def test_the_format_of_the_envelope_is_stable() -> None:
    """A field that is added to a digested noun needs None as its default: old digests must come out again."""
    plain = envelope_of(act({"command": "ls"}, push=None))
    assert digest(plain) == "sha256:b3168332ea939ed860530214c6fe4e6aea32855c339094a300ffaff288103b8d"


NUMBERS = st.integers(-MAX_SAFE, MAX_SAFE) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\u20ac\r"), inner, max_size=4),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b", "command", "timeout_ms", "é"]), VALUES, max_size=5)


def shuffled(value: JSON, chance: random.Random) -> JSON:
    if isinstance(value, dict):
        keys = chance.sample(sorted(value), len(value))
        return {key: shuffled(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    return value


@given(ARGUMENTS, st.randoms(use_true_random=False), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_order_spacing_and_escapes_of_the_wire_change_nothing(
    arguments: JSONObject, chance: random.Random, plain: bool, indent: int | str | None
) -> None:
    """APR-02."""
    wire = json.dumps(shuffled(arguments, chance), ensure_ascii=plain, indent=indent).encode()
    heard = decode(wire)
    assert isinstance(heard, dict)
    assert digest(envelope_of(act(heard))) == digest(envelope_of(act(arguments)))


@given(ARGUMENTS, st.text(), st.text())
def test_rewritten_advisory_words_change_nothing(arguments: JSONObject, one: str, other: str) -> None:
    """APR-02."""
    first = envelope_of(act({**arguments, "description": one}))
    second = envelope_of(act({**arguments, "description": other}))
    assert first == second == envelope_of(act(arguments))


@settings(max_examples=3 * settings.default.max_examples)
@given(ARGUMENTS, ARGUMENTS)
def test_nothing_outside_the_advisory_list_is_ignored(one: JSONObject, other: JSONObject) -> None:
    """APR-02."""
    same = canonical(one) == canonical(other)
    assert (digest(envelope_of(act(one))) == digest(envelope_of(act(other)))) is same


def test_null_false_zero_and_absent_are_four_acts() -> None:
    acts: list[JSONObject] = [{"a": None}, {"a": False}, {"a": 0}, {}]
    assert len({digest(envelope_of(act(arguments))) for arguments in acts}) == 4


def test_only_the_tools_that_say_so_have_advisory_arguments() -> None:
    listed = {tool.name: tool.advisory for tool in Catalogue().declared() if tool.advisory}
    assert listed == {"bash": ("description",), "git_push": ("message",), "vault_patch": ("reason",)}


def test_an_advisory_name_counts_at_the_top_only() -> None:
    assert binding(BASH, {"command": {"description": "x"}}) == {"command": {"description": "x"}}
