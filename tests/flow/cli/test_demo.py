"""The demo, as a stranger starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.docker,
    pytest.mark.temporal,
    pytest.mark.forge,
    pytest.mark.faults,
    pytest.mark.slow,
]


def test_the_demo_ends_well(cache: Path, tmp_path: Path) -> None:
    environment = os.environ | {"RHONE_DATA": str(tmp_path), "RHONE_CACHE": str(cache.absolute())}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--json"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["faults"]) == (True, [])
    assert told["pull_request"].endswith("/rhone/shares/pulls/1")
    assert "got a SIGKILL" in done.stderr
    assert "re-attached to the same command" in done.stderr
    assert not (tmp_path / "demo/stack/pids.json").exists()
