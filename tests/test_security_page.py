"""The page on security names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_test_that_the_threat_model_names_is_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "tests/" in line]
    named = set(re.findall(r"`(tests/[^`]+)`", page))
    assert len(rows) > 20
    assert {name for name in named if not (ROOT / name).is_file()} == set()
