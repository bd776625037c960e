"""One supervisor per data directory, and nothing left of the one before it."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cli.failure import Failure
from cli.home import Home

MARK = "RHONE_SUPERVISED"
"""In the environment of every child: the data directory that it belongs to."""

_PATIENCE = 10.0


@contextmanager
def held(home: Home) -> Generator[None]:
    """The directory's lock. It ends with this process, however that ends."""
    with home.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"{home.root} is in use by {_holder(home.lock)}") from None
        file.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(json.dumps({"pid": os.getpid(), "since": since}))
        file.flush()
        yield


def _holder(lock: Path) -> str:
    try:
        told = json.loads(lock.read_text())
        return f"process {told['pid']}, which started at {told['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def end_leftovers(home: Home) -> None:
    """Waits for the children of a supervisor that died: a dying server still answers on its port."""
    deadline = time.monotonic() + _PATIENCE
    for pid in home.read_pids().values():
        while _is_ours(pid, home):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
    home.pids.unlink(missing_ok=True)
    home.address.unlink(missing_ok=True)


def _is_ours(pid: int, home: Home) -> bool:
    """A process id may have gone to somebody else since; the mark in the environment tells."""
    try:
        return f"{MARK}={home.root}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
