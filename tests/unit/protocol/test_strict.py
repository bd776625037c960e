"""The strict decoder: refused by name, never guessed."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.digest import MAX_SAFE
from protocol.errors import InvalidRequest, TooLarge
from protocol.run import RunRequest
from protocol.strict import MAX_DEPTH, decode, parse, path_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE, MAX_SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_whatever_json_carries_exactly_is_read_exactly(value: object, plain: bool) -> None:
    assert decode(json.dumps(value, ensure_ascii=plain).encode()) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0d8e1.-NaIfty', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        decode(raw)
    except InvalidRequest as refused:
        assert refused.code.startswith("request.")


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"", "request.not_json", "line 1, column 1"),
        (b'{"a": 1,}', "request.not_json", "line 1"),
        (b'{"a": 1} x', "request.not_json", "Extra data"),
        (b"{'a': 1}", "request.not_json", ""),
        (b"\xff", "request.not_utf8", "byte 0"),
        (b'\xef\xbb\xbf{"a": 1}', "request.not_json", ""),
        (b'{"a": 1, "a": 1}', "request.duplicate_key", "a"),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "request.duplicate_key", "a"),
        (b'{"a": NaN}', "request.not_json", "NaN"),
        (b"[Infinity]", "request.not_json", "Infinity"),
        (b"[-Infinity]", "request.not_json", "-Infinity"),
        (b"[1e400]", "request.not_json", "out of range"),
        (b"[9007199254740992]", "request.not_json", "IEEE double"),
        (b"[-9007199254740992]", "request.not_json", "IEEE double"),
        (b"[" + b"9" * 5000 + b"]", "request.not_json", "IEEE double"),
        (b'["\\ud800"]', "request.not_json", "lone surrogate"),
        (b'{"\\udc00": 1}', "request.not_json", "lone surrogate"),
        (b'{"a": [["\\ud800x"]]}', "request.not_json", "lone surrogate"),
        (b"[" * 100_000, "request.too_deep", "64"),
        (b'{"a":' * 100_000, "request.too_deep", "64"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused_by_name(raw: bytes, code: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode(raw)
    assert refused.value.code == code
    assert words in refused.value.message


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert decode(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_the_depth_is_counted_outside_strings() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert decode(deepest) is not None
    with pytest.raises(InvalidRequest, match="deeper than 64"):
        decode(b"[" + deepest + b"]")
    assert decode(b'["' + b"[" * 1000 + b'\\"' + b"{" * 1000 + b'"]') is not None


def test_a_body_over_the_limit_is_refused_unread() -> None:
    assert decode(b"[12]", limit=4) == [12]
    with pytest.raises(TooLarge) as refused:
        decode(b"[123]", limit=4)
    assert (refused.value.code, refused.value.status) == ("request.too_large", 413)


@pytest.mark.parametrize("part", [b'\\"', b'"\\', b'"', b"\\", b'\\\\"'])
def test_a_hostile_body_of_eight_megabytes_is_answered_soon(part: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InvalidRequest):
        decode(b'"' + part * (8_000_000 // len(part)))
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": "x", "extra": 1}, "request.unknown_field", "extra"),
        ({"input": 1}, "request.invalid_field", "input"),
        ({"input": "x", "limits": {"max_turns": "5"}}, "request.invalid_field", "limits.max_turns"),
        ({"input": "x", "limits": {"max_turns": -1}}, "request.invalid_field", "limits.max_turns"),
        (
            {"input": "x", "capabilities": [{"kind": "tool", "name": "bash", "x": 1}]},
            "request.unknown_field",
            "capabilities[0].x",
        ),
        (
            {"input": "x", "capabilities": [{"kind": "tool", "name": "/"}]},
            "request.invalid_field",
            "capabilities[0].name",
        ),
        ({"input": "x", "capabilities": [{"kind": "magic"}]}, "request.invalid_field", "capabilities[0]"),
        (
            {"blocks": [{"type": "input", "content": [{"type": "text", "text": 1}]}]},
            "request.invalid_field",
            "blocks[0].content[0].text",
        ),
        ({"input": "x", "blocks": []}, "request.invalid_field", "blocks"),
        ({}, "request.invalid_field", None),
        ({"input": "x", "model": "a", "routing": {"model": "b"}}, "request.invalid_field", None),
    ],
)
def test_a_fault_of_a_request_names_its_field(body: object, code: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(RunRequest, json.dumps(body).encode())
    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_request_that_fits_is_read() -> None:
    request = parse(RunRequest, b'{"input": "Fix it", "target": {"kind": "workspace", "name": "dev"}}')
    assert request.input == "Fix it"
    assert request.target is not None
    assert request.target.name == "dev"


def test_a_path_reads_as_one_writes_it() -> None:
    assert path_of(()) == ""
    assert path_of(("capabilities", 0, "tool", "name")) == "capabilities[0].name"
    assert path_of(("content", 0, "text", "text")) == "content[0].text"
    assert path_of(("a", "b", 2, 3, "c")) == "a.b[2][3].c"
