"""The data directory: which file in it is what."""

import json
import os
from pathlib import Path
from typing import Any


class Home:
    """The layout of `DIR` in `rhone up --data DIR`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "lock"
        self.pids = root / "pids.json"
        self.place = root / "place.json"  # the ports and the configuration of the last start
        self.address = root / "address"  # where the running gateway answers; gone when nothing runs
        self.admin_key = root / "admin.key"
        self.database = root / "rhone.db"
        self.temporal_database = root / "temporal.db"
        self.worker_ready = root / "worker.ready"  # written by a worker that polls
        self.installation = root / "installation"  # the name that its containers carry
        self.logs = root / "logs"
        self.config = root / "rhone.toml"

    def make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def read_pids(self) -> dict[str, int]:
        return _read(self.pids)

    def read_place(self) -> dict[str, Any]:
        return _read(self.place)


def _read(path: Path) -> dict[str, Any]:
    """What the file says; nothing where it is absent or was cut off by a crash."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Readers see the old text or the new one, never a part."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
