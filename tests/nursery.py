"""Workers and gateways of the product, forked off a process that has imported them once.

Each is what its own command line makes of it, without the seconds of loading: tests kill hundreds of them.
Those of `rhone up` in tests/flow/cli come from the command line.
"""

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.processes import Process

CHECKOUT = Path(__file__).resolve().parents[1]
PR_SET_PDEATHSIG = 1
Name = Literal["worker", "gateway"]


class Nursery:
    """The parent of all of them; it dies with the tests, and they with it."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.nursery"],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, name: Name, log: Path, environment: Mapping[str, str]) -> Process:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        log.touch()
        order = {"name": name, "log": str(log), "environment": dict(environment)}
        self._parent.stdin.write(json.dumps(order).encode() + b"\n")
        self._parent.stdin.flush()
        return Process(int(self._parent.stdout.readline()), log)


@cache
def nursery() -> Nursery:
    return Nursery()


def _serve() -> None:
    """One line is one order; the answer is the pid."""
    import gateway.main
    import worker.main

    run = {"worker": worker.main.run, "gateway": gateway.main.run}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's to bury
    gc.freeze()
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(order)
            run[order["name"]]()
        os.write(1, b"%d\n" % pid)


def _become(order: Any) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(order["environment"])
    with open(os.devnull) as nothing, open(order["log"], "ab") as log:
        for number, file in ((0, nothing), (1, log), (2, log)):
            os.dup2(file.fileno(), number)


if __name__ == "__main__":
    _serve()
