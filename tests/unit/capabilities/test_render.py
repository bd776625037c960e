"""What a person sees is the digested act, all of it."""

import json
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities.render import DIFF_CAP, render
from protocol.checkpoint import Envelope, PushFacts
from protocol.digest import canonical, digest, digest_bytes
from protocol.ids import RunId, SnapshotId, ToolExecutionId
from protocol.noun import JSON, JSONObject

DIFF = b"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-\treturn 1\n+\treturn 2\n"


def envelope(arguments: JSONObject | None = None, diff: bytes | None = None, **changes: object) -> Envelope:
    push = PushFacts(
        repository="forge/demo",
        ref="refs/heads/rhone/fix",
        expected_old=None,
        new="2" * 40,
        base="3" * 40,
        diff_digest=digest_bytes(diff or b""),
    )
    act = Envelope(
        run_id=RunId("run_1"),
        snapshot_id=SnapshotId("capsnap_1"),
        policy_digest="sha256:5",
        tool="bash",
        definition_digest="sha256:6",
        tool_execution_id=ToolExecutionId("tool_1"),
        arguments={"command": "ls"} if arguments is None else arguments,
        target="dev",
        cwd="/workspace",
        environment=("HOME", "PATH"),
        files={"run.sh": "sha256:7"},
        push=push if diff is not None else None,
    )
    return act.model_copy(update=changes)


def view(act: Envelope, diff: bytes | None = None, **words: str) -> str:
    return render(canonical(act), diff=diff, advisory=dict(words))


def test_the_view_of_a_push_shows_the_whole_act() -> None:
    act = envelope({"title": "Fix", "body": "It was 1.\n"}, DIFF, tool="open_pull_request")
    assert (
        render(canonical(act), diff=DIFF, advisory={"message": "done"})
        == f"""Tool: open_pull_request
Digest: {digest(act)}
Arguments
  body
    | It was 1.
    (ends with 1 newline)
  title
    | Fix
Push
  repository: forge/demo
  ref: refs/heads/rhone/fix
  from: (the ref does not exist yet)
  to: {"2" * 40}
  base: {"3" * 40}
  diff: {digest_bytes(DIFF)}
Diff ({len(DIFF)} bytes)
  | --- a/x.py
  | +++ b/x.py
  | @@ -1 +1 @@
  | -\treturn 1
  | +\treturn 2
  (ends with 1 newline)
Place
  target: dev
  working directory: /workspace
  environment names:
    HOME
    PATH
  files:
    sha256:7 run.sh
Bound to
  definition_digest: sha256:6
  envelope_version: 1
  policy_digest: sha256:5
  run_id: run_1
  snapshot_id: capsnap_1
  tool_execution_id: tool_1
Said by the model, covered by no digest
  message
    | done
"""
    )


PAYLOADS = {
    "right-to-left override": "ls \u202e/ fr- mr",
    "left-to-right override": "a\u202db",
    "bidi isolates": "a\u2066b\u2069c\u2067d\u2068e",
    "bidi embedding": "a\u202ab\u202bc\u202cd",
    "bidi marks": "a\u200eb\u200fc\u061cd",
    "zero-width space": "rm\u200b -rf",
    "zero-width joiners": "a\u200cb\u200dc",
    "word joiner": "a\u2060b\u2061c\u2062d\u2063e\u2064f",
    "byte order mark": "\ufeffls",
    "soft hyphen": "pass\u00adword",
    "grapheme joiner": "a\u034fb",
    "hangul fillers": "a\u3164b\u115fc\u1160d\uffa0e",
    "braille blank": "a\u2800b",
    "khmer vowels that are not drawn": "a\u17b4b\u17b5c",
    "mongolian separator": "a\u180eb\u180bc",
    "no-break space": "rm\u00a0-rf",
    "wide spaces": "a\u2003b\u3000c\u205fd\u1680e",
    "line separators": "a\u2028b\u2029c",
    "next line": "ls\u0085rm",
    "tag characters": "ls\U000e0072\U000e006d",
    "variation selectors": "ls\ufe00\ufe0f\U000e0100",
    "interlinear annotation": "a\ufff9b\ufffac\ufffbd",
    "private use": "a\ue000b\U000f0000c",
    "unassigned": "a\U000e0fffb\u0378c",
    "combining overlay": "r\u0336m\u0336",
    "stacked marks": "a" + "\u0301" * 50,
    "ansi colours": "\x1b[8mrm -rf /\x1b[0m",
    "ansi cursor": "rm -rf /\x1b[2K\x1b[1Gls",
    "osc title": "\x1b]0;ls\x07rm",
    "c1 csi": "\x9b2Jrm",
    "carriage return": "rm -rf /\rls      ",
    "backspace": "rm -rf /\x08\x08\x08\x08ls",
    "null": "ls\x00rm",
    "vertical tab and form feed": "ls\x0b\x0crm",
    "delete": "ls\x7frm",
    "trailing newline": "rm -rf /\n",
    "trailing spaces": "rm -rf \\ ",
    "leading newlines": "\n\n\nrm",
    "spaces to the far right": "ls" + " " * 5000 + "; rm -rf /",
    "newlines to far below": "ls" + "\n" * 5000 + "rm -rf /",
    "cyrillic twin": "curl https://p\u0430ypal.com",
    "whole cyrillic word": "\u0441\u0440 /etc/passwd x",
    "fullwidth": "\uff52\uff4d \uff0d\uff52\uff46",
    "mathematical letters": "\U0001d42b\U0001d426 -rf",
    "greek question mark": "ls\u037e rm",
    "division slash": "https:\u2215\u2215example.com",
    "a drawn escape": "\\u{202e} \\x{ff}",
    "a drawn section": "ls\nDigest: sha256:0000\nPlace\n  target: prod",
    "a drawn mark": "ls\n    | pwd\n(ends with 1 newline)",
    "one megabyte": "x" * 1_000_000 + "; rm -rf /",
}
FLAGGED = {"cyrillic twin", "whole cyrillic word", "fullwidth", "mathematical letters", "greek question mark"}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize(
    "place", ["argument", "key", "nested", "environment", "file", "cwd", "diff", "advisory"]
)
def test_a_deceptive_payload_is_fully_visible_wherever_it_stands(name: str, place: str) -> None:
    """APR-03."""
    payload = PAYLOADS[name]
    diff = f"+{payload}".encode() if place == "diff" and len(payload) < DIFF_CAP else None
    act = {
        "argument": lambda: envelope({"command": payload}),
        "key": lambda: envelope({payload: 1}),
        "nested": lambda: envelope({"a": [{"b": payload}]}),
        "environment": lambda: envelope(environment=(payload,)),
        "file": lambda: envelope(files={payload: "sha256:7"}),
        "cwd": lambda: envelope(cwd=payload),
        "diff": lambda: envelope(diff=diff),
        "advisory": envelope,
    }[place]()
    shown = view(act, diff, **({"message": payload} if place == "advisory" else {}))
    assert hidden(shown) == set()
    honest = view(envelope(diff=b"" if diff is not None else None), b"" if diff is not None else None)
    assert sections(shown) - {"Said by the model, covered by no digest"} == sections(honest)
    assert f"Digest: {digest(act)}\n" in shown
    if name in FLAGGED and place != "advisory":
        assert "\n! " in shown
    if name == "one megabyte" and place not in ("diff", "key"):
        assert re.sub(r"\n *: ", "", shown).count("x" * 1_000_000 + "; rm -rf /") == 1


def hidden(shown: str) -> set[str]:
    return {char for char in set(shown) - {"\n", " "} if unicodedata.category(char)[0] not in "LMNPS"}


def sections(shown: str) -> set[str]:
    """Lines at the margin, but for values and warnings."""
    return {line for line in shown.splitlines() if re.fullmatch(r"[A-Z][a-z ,]+", line)}


LEAVES = st.none() | st.booleans() | st.integers(0, 9) | st.text(alphabet="a1 \n|=(\\", max_size=4)
KEYS = st.text(alphabet='ab.["]', max_size=3)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2), max_leaves=4
)
ARGUMENTS = st.dictionaries(KEYS, VALUES, max_size=3)


def without_digest(shown: str) -> str:
    return re.sub(r"(?m)^Digest: .*\n", "", shown)


@settings(max_examples=10 * settings.default.max_examples)
@given(ARGUMENTS, ARGUMENTS)
def test_two_acts_never_look_the_same(one: JSONObject, other: JSONObject) -> None:
    same = canonical(one) == canonical(other)
    assert (without_digest(view(envelope(one))) == without_digest(view(envelope(other)))) is same


def test_every_field_of_an_envelope_can_be_seen() -> None:
    honest = without_digest(view(envelope(diff=DIFF), DIFF))
    for field in Envelope.model_fields:
        body = json.loads(canonical(envelope(diff=DIFF)))
        body[field] = {"other": "x"} if isinstance(body[field], dict) and field != "push" else "x"
        if field == "environment":
            body[field] = ["x"]
        if field == "push":
            body[field] = {**json.loads(canonical(envelope(diff=DIFF)))["push"], "ref": "x"}
        assert without_digest(render(canonical(body), diff=DIFF)) != honest, field


def test_a_push_is_never_shown_without_the_diff_that_it_names() -> None:
    with pytest.raises(ValueError, match="names the diff"):
        view(envelope(diff=DIFF))
    with pytest.raises(ValueError, match="names the diff"):
        view(envelope(diff=DIFF), DIFF + b"\n")
    with pytest.raises(ValueError, match="names the diff"):
        view(envelope(), DIFF)


def test_a_diff_beyond_the_cap_is_cut_at_a_line_and_says_so() -> None:
    diff = b"+0123456789\n" * 100_000
    shown = view(envelope(diff=diff), diff)
    kept = DIFF_CAP // 12 * 12
    assert f"! diff: cut after {kept} of {len(diff)} bytes" in shown
    assert f"  (cut: {kept} of {len(diff)} bytes shown; the whole diff is {digest_bytes(diff)})\n" in shown
    assert shown.count("| +0123456789") == kept // 12


LARGE = ["x" * 1_000_000, " " * 1_000_000 + "x", "\u202e" * 300_000, "\u0430b " * 300_000]


@pytest.mark.parametrize("text", LARGE, ids=["word", "spaces", "overrides", "mixed words"])
def test_a_large_argument_is_rendered_in_bounded_time(text: str) -> None:
    started = time.process_time()
    view(envelope({"command": text}))
    assert time.process_time() - started < 10


@pytest.mark.parametrize("name", PAYLOADS)
def test_how_it_can_be_undone_is_shown_and_hides_nothing(name: str) -> None:
    shown = render(canonical(envelope()), compensation=PAYLOADS[name])
    assert hidden(shown) == set()
    assert sections(shown) - {"How it can be undone"} == sections(view(envelope()))
    assert shown.startswith(view(envelope()))
