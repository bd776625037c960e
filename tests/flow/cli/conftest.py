"""A stack as `rhone up` starts it, and the command line that talks to it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.processes import until

CONFIG = """\
counting_tools = "counts"

[providers.local]
protocol = "scripted"
models = ["m"]
script = "script.toml"

[aliases]
default = "local/m"
"""

SCRIPT = """\
[[scenarios]]
when = "deploy"
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "release 7" } }]
[[scenarios.turns]]
text = "It said: {last_result}"

[[scenarios]]
when = "ask me"
[[scenarios.turns]]
tool_calls = [{ name = "ask_user", arguments = { question = "Which colour?" } }]
[[scenarios.turns]]
text = "So {last_result} it is."

[[scenarios]]
when = "talk long"
delta_chars = 1
delta_delay_ms = 50
[[scenarios.turns]]
text = '''
............................................................
............................................................
'''
[[scenarios.turns]]
text = "I heard: {input}"

[[scenarios]]
[[scenarios.turns]]
text = "Hello, {input}"
"""


class Up:
    """`rhone up` on a folder: killed and started again it is the same stack."""

    def __init__(self, folder: Path, cache: Path, **environment: str) -> None:
        self.folder = folder
        self._cache = cache
        self._own = environment
        (folder / "rhone.toml").write_text(CONFIG)
        (folder / "script.toml").write_text(SCRIPT)
        self.start()

    def start(self) -> str:
        """Returns the address that it says."""
        with (self.folder / "up.log").open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", "--port", "0", "--data", str(self.folder)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=self.folder,
                env=self._environment(),
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline().split()
        assert said[:1] == ["ready"], self.log()
        return said[1]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return (self.folder / "up.log").read_text()

    def pids(self) -> dict[str, int]:
        return json.loads((self.folder / "pids.json").read_text())

    def rhone(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            timeout=120,
        )

    def json(self, *arguments: str) -> Any:
        """What a command that succeeds answers."""
        done = self.rhone(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def say(self, *arguments: str) -> str:
        done = self.rhone(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def when(self, run_id: str, status: str) -> dict[str, Any]:
        """The run as `show` has it, once it is in a state."""
        await until(lambda: self.status(run_id) == status, 60, f"{run_id} is never {status}")
        told = self.json("show", run_id)
        assert told["status"] == status
        return told

    def status(self, run_id: str) -> str:
        """By the records; a command would take a hundred times as long."""
        with closing(sqlite3.connect(self.folder / "rhone.db", timeout=10)) as database:
            (found,) = database.execute("SELECT status FROM runs WHERE id = ?", (run_id,)).fetchone()
            return found

    def _environment(self) -> dict[str, str]:
        ours = {"RHONE_DATA": str(self.folder), "RHONE_CACHE": str(self._cache.absolute()), "COLUMNS": "200"}
        return os.environ | ours | self._own


@pytest.fixture(scope="module")
def up(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    made = Up(tmp_path_factory.mktemp("up"), cache)
    yield made
    made.stop()
