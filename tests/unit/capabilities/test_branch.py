"""The grammar of branch names."""

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capabilities.branch import branch_fault, default_branch, name_fault
from protocol.ids import RunId


@pytest.mark.parametrize("name", ["rhone/fix", "a", "feature/JIRA-12_x.y+z", "main2", "x" * 200])
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert branch_fault(name, base="main") is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "x" * 201, "-x", "a/-x", "--force", ".x", "a/.x", "x.", "x..y", "x.lock", "a.lock/b"),
        *("/x", "x/", "a//b", "a b", "a~1", "a^", "a:b", "a?b", "a*", "a[b", "a\\b", "a@{1}", "@"),
        *("a\x00b", "a\x1bb", "a\nb", "a\n", "é", "a\u202eb", "\uff0d\uff0dx"),
        *("HEAD", "FETCH_HEAD", "refs/heads/x", "a" * 40, "0" * 64),
    ],
)
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    assert name_fault(name) is not None
    assert branch_fault(name, base="main") is not None


@pytest.mark.parametrize(
    "name", ["main", "master", "Main", "release", "release/1.2", "releases", "dev", "DEV"]
)
def test_the_base_and_protected_branches_are_nobody_s_own(name: str) -> None:
    assert branch_fault(name, base="dev") is not None


def test_a_protected_branch_can_be_granted_and_the_base_cannot() -> None:
    granted = frozenset({"release/1", "main"})
    assert branch_fault("release/1", base="main", granted=granted) is None
    assert branch_fault("main", base="main", granted=granted) is not None


def test_the_default_branch_is_in_the_grammar() -> None:
    name = default_branch(RunId("run_01hzzzzzzzzzzzzzzzzzzzzzzz"))
    assert name == "rhone/01hzzzzzzzzzzzzzzzzzzzzzzz"
    assert branch_fault(name, base="main") is None


@given(st.text(alphabet="aZ09_-./+@{}~^:\\ \x7fé", min_size=1, max_size=8))
@example("a.lock.b")
def test_what_we_take_git_takes(name: str) -> None:
    if name_fault(name) is None:
        assert subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False).returncode == 0
