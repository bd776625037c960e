"""A throw-away PostgreSQL cluster from the system's own binaries, on a socket in a folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psycopg

SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}


def binaries() -> Path:
    """The newest installed version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    return found[-1].parent


class Cluster:
    """Running from `__enter__` to `__exit__`; as root it runs as the system's `postgres` user."""

    def __init__(self) -> None:
        self._bin = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="rhone-pg-"))
        self._owner = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> "Cluster":
        if self._owner is not None:
            shutil.chown(self._folder, self._owner, self._owner)
        options = ["-A", "trust", "-U", "rhone", "-E", "UTF8", "--locale=C", "-N"]
        self._run(["initdb", "-D", str(self._folder / "data"), *options])
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://rhone@/{database}?host={self._folder}"

    def create(self, template: str = "template1", *, name: str | None = None) -> str:
        """The name of a new database."""
        self._databases += 1
        name = name or f"db{self._databases}"
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def start(self) -> None:
        """After a kill the first tries are refused until the dead server's children are gone."""
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [
            str(self._bin / "postgres"),
            "-D",
            str(self._folder / "data"),
            "-k",
            str(self._folder),
            *settings,
        ]
        deadline = time.monotonic() + 30
        while True:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._identity()
            )
            if until(lambda: self._answers() or self._ended(), deadline) and not self._ended():
                return
            if time.monotonic() > deadline:
                raise TimeoutError("PostgreSQL does not come up")

    def kill(self) -> None:
        """SIGKILL, server and children alike."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(10)
        self._process = None

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self._folder), user="rhone", dbname="postgres", autocommit=True)

    def _run(self, command: list[str]) -> None:
        program = str(self._bin / command[0])
        subprocess.run([program, *command[1:]], check=True, stdout=subprocess.DEVNULL, **self._identity())

    def _identity(self) -> dict[str, object]:
        owned = {"user": self._owner, "group": self._owner, "extra_groups": []} if self._owner else {}
        return {"cwd": "/", **owned}


def until(condition: Callable[[], bool], deadline: float) -> bool:
    """Whether a condition came true before a moment of the monotonic clock."""
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
