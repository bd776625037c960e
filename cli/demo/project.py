"""The repository of the demo: a small library with one real mistake, and a suite that takes its time."""

NAME = "shares"

TASK = """\
The tests of this repository fail. Find out why with `make test`, mend the code and not the tests, run
`make test` again until it passes, commit, and open a pull request that says what was wrong.
"""

STARTED = "suite start number"
"""The suite counts its own starts: a command that was run twice would leave a gap in the stream."""

_README = """\
# shares

Splits an amount of money among people: `split(1000, 3)`. `make test` runs the tests.
"""

_MAKEFILE = f"""\
.PHONY: test
test:
\t@echo start >> .starts
\t@echo "{STARTED} $$(wc -l < .starts)"
\t@PYTHONUNBUFFERED=1 python3 -m pytest -v -p no:cacheprovider
"""

_CODE = '''\
"""Splits amounts of money."""


def split(cents: int, people: int) -> list[int]:
    """Shares that differ by one cent at most and add up to the whole amount."""
    if people < 1:
        raise ValueError("there is nobody to split among")
    return [cents // people] * people
'''

_TESTS = """\
import time

import pytest

from shares import split


@pytest.fixture(autouse=True)
def slow_as_a_real_suite():
    time.sleep(0.5)


@pytest.mark.parametrize(
    ("cents", "people"), [(1000, 4), (1000, 1), (0, 3), (3, 3), (999, 3), (1000, 3), (1, 2), (5, 3)]
)
def test_shares_add_up(cents, people):
    shares = split(cents, people)
    assert len(shares) == people
    assert sum(shares) == cents
    assert max(shares) - min(shares) <= 1


def test_nobody_is_refused():
    with pytest.raises(ValueError):
        split(1000, 0)
"""

FILES = {
    "README.md": _README,
    "Makefile": _MAKEFILE,
    ".gitignore": ".starts\n__pycache__/\n",
    "shares.py": _CODE,
    "test_shares.py": _TESTS,
}
