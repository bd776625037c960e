"""Prefixed, sortable ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import PREFIXES, derived, fresh, is_id, mint

MOMENTS = st.integers(0, 2**48)
ENTROPY = st.binary(min_size=10, max_size=10)
PARENT = "run_01hzzzzzzzzzzzzzzzzzzzzzzz"


@given(st.sampled_from(sorted(PREFIXES)), MOMENTS, ENTROPY)
def test_a_minted_id_is_an_id_of_its_prefix_only(prefix: str, at: int, entropy: bytes) -> None:
    made = mint(prefix, at, entropy)
    assert is_id(prefix, made)
    assert not any(is_id(other, made) for other in PREFIXES if other != prefix)


@given(MOMENTS, MOMENTS, ENTROPY, ENTROPY)
def test_ids_sort_by_their_moment(one: int, other: int, first: bytes, second: bytes) -> None:
    if one != other:
        assert (mint("run_", one, first) < mint("run_", other, second)) is (one < other)


def test_fresh_ids_differ() -> None:
    assert len({fresh("run_") for _ in range(1_000)}) == 1_000


def test_a_derived_id_is_the_same_each_time_and_differs_in_each_part() -> None:
    one = derived("tool_", PARENT, 3, "a", 1)
    assert one == derived("tool_", PARENT, 3, "a", 1)
    assert is_id("tool_", one)
    others = {
        derived("call_", PARENT, 3, "a", 1).removeprefix("call_"),
        derived("tool_", PARENT[:-1] + "0", 3, "a", 1).removeprefix("tool_"),
        derived("tool_", PARENT, 4, "a", 1).removeprefix("tool_"),
        derived("tool_", PARENT, 3, "b", 1).removeprefix("tool_"),
        derived("tool_", PARENT, 3, "a", 2).removeprefix("tool_"),
        one.removeprefix("tool_"),
    }
    assert len(others) == 6


@given(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1))
def test_derived_ids_keep_the_parent_s_moment_and_sort_by_ordinal(one: int, other: int) -> None:
    first, second = derived("tool_", PARENT, one), derived("tool_", PARENT, other)
    assert first.startswith("tool_01hzzzzzzz")
    if one != other:
        assert (first < second) is (one < other)


@pytest.mark.parametrize(
    "text",
    ["", "run_", PARENT[4:], PARENT + "0", PARENT[:-1], PARENT.upper(), PARENT[:-1] + "i", PARENT + "\n"],
)
def test_what_is_no_id_is_told(text: str) -> None:
    assert not is_id("run_", text)
