"""Commands that set-up runs: their output in a log, its end shown where they fail."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.setup.report import Report, SetupFailed

_SIGN_OF_LIFE = 30.0


@dataclass(frozen=True)
class Workshop:
    """Where one part's commands run and log, and to whom they report."""

    part: str
    logs: Path
    report: Report

    @property
    def log(self) -> Path:
        return self.logs / f"{self.part}.log"

    def say(self, text: str) -> None:
        self.report.say(self.part, text)

    def open_log(self) -> BinaryIO:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self.log.open("ab")

    def run(self, argv: list[str | Path], *, cwd: Path | None = None) -> None:
        """Run to the end; raises SetupFailed with the last lines of the log."""
        if self.try_run(argv, cwd=cwd) != 0:
            raise SetupFailed(self.part, f"a command failed; the end of {self.log}:\n{tail(self.log)}")

    def try_run(self, argv: list[str | Path], *, cwd: Path | None = None) -> int:
        started = time.monotonic()
        with self.open_log() as log:
            log.write(f"\n$ {' '.join(str(word) for word in argv)}\n".encode())
            log.flush()
            process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                while True:
                    try:
                        return process.wait(_SIGN_OF_LIFE)
                    except subprocess.TimeoutExpired:
                        self.say(f"still at it after {time.monotonic() - started:.0f} s")
            finally:
                if process.poll() is None:
                    process.terminate()


def tail(log: Path, lines: int = 15) -> str:
    """The last command in a log, and the end of what it wrote."""
    _, prompt, last = log.read_text(errors="replace").rpartition("\n$ ")
    command, *output = last.splitlines() or [""]
    return "\n".join([prompt.lstrip() + command, *output[-lines:]])
