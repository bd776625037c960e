"""The quick start does what it says: its commands, taken from the page and run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Program, until

pytestmark = [pytest.mark.docker, pytest.mark.temporal, pytest.mark.slow]

PAGE = Path(__file__).parents[3] / "docs/quickstart.md"
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)


class Shell:
    """One shell after the other, each with the variables of the one before."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._state = folder / "state.sh"
        self._state.write_text("")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ours = {"RHONE_DATA": str(folder), "RHONE_CACHE": str(cache.absolute()), "PATH": path}
        self.environment = os.environ | ours

    def run(self, block: str) -> subprocess.CompletedProcess[str]:
        script = f". {self._state}\nset -eu\n{block}\ndeclare -p RUN > {self._state} 2>/dev/null || true\n"
        return subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, env=self.environment, timeout=120
        )


@pytest.fixture
def shell(cache: Path, tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path, cache)


async def test_the_commands_of_the_page_end_in_a_decided_approval(shell: Shell, tmp_path: Path) -> None:
    setup, configure, start, task, look, decide, follow, check = BLOCKS
    assert setup.startswith("make setup\n")
    assert shell.run(configure).returncode == 0
    argv = ["bash", "-c", f"exec {start.strip().removesuffix('&')}"]
    stack = Program(argv, tmp_path / "up.log", shell.environment)
    try:
        await until((tmp_path / "address").exists, 60, "it does not come up")
        assert shell.run(task).returncode == 0
        await until(lambda: "approval" in shell.run(look).stdout, 60, "nothing waits")
        decided = shell.run(decide)
        assert "echo 'milk, bread' | tee note.txt" in decided.stdout
        assert decided.stdout.strip().endswith("is approved")
        followed = shell.run(follow)
        assert "The note says: milk, bread" in followed.stdout.replace("\n\n", "\n"), followed
        checked = shell.run(check)
        assert (checked.returncode, "BROKEN" in checked.stdout) == (0, False)
    finally:
        await stack.stop(60)
