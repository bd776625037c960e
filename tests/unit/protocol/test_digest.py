"""One byte form per value (RFC 8785; APR-02, RCP-01)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.checkpoint import Required
from protocol.digest import canonical, digest, digest_bytes

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | FINITE
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def test_the_sample_of_the_standard() -> None:
    raw = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    assert (
        canonical(json.loads(raw))
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_keys_are_sorted_by_utf_16_units() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(keys, 0)))) == ordered


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (5e-324, b"5e-324"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (9007199254740992.0, b"9007199254740992"),
        (295147905179352830000.0, b"295147905179352830000"),
        (9.999999999999997e22, b"9.999999999999997e+22"),
        (1e23, b"1e+23"),
        (1.0, b"1"),
        (0.000001, b"0.000001"),
        (1e-7, b"1e-7"),
        (333333333.33333325, b"333333333.33333325"),
    ],
)
def test_the_numbers_of_the_standard(number: float, text: bytes) -> None:
    assert canonical(number) == text


@given(VALUES)
def test_canonical_bytes_read_back_give_the_same_bytes(value: object) -> None:
    once = canonical(value)
    assert canonical(json.loads(once)) == once


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", 2**53 + 1, 10**400, {"a": {1, 2}}])
def test_what_json_cannot_carry_exactly_has_no_bytes(value: object) -> None:
    with pytest.raises(ValueError, match="not canonical JSON"):
        canonical(value)


def test_a_noun_has_the_bytes_of_its_fields_without_the_absent_ones() -> None:
    assert canonical(Required(count=2)) == b'{"count":2,"not_requester":false}'
    told = b'{"required":[{"count":1,"not_requester":false,"role":"x"}]}'
    assert canonical({"required": [Required(role="x")]}) == told


def test_a_null_inside_a_value_stays() -> None:
    assert canonical({"a": None}) == b'{"a":null}'


def test_a_digest_names_its_function() -> None:
    assert digest({}) == digest_bytes(b"{}")
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
