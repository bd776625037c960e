"""The data directory: which file in it is what."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Home:
    """The layout of `DIR` in `rhone up --data DIR`."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def pids(self) -> Path:
        return self.root / "pids.json"

    @property
    def place(self) -> Path:
        """The ports and the configuration of the last start."""
        return self.root / "place.json"

    @property
    def address(self) -> Path:
        """Where the running gateway answers; gone when nothing runs."""
        return self.root / "address"

    @property
    def admin_key(self) -> Path:
        return self.root / "admin.key"

    @property
    def database(self) -> Path:
        return self.root / "rhone.db"

    @property
    def temporal_database(self) -> Path:
        return self.root / "temporal.db"

    @property
    def worker_ready(self) -> Path:
        """Written by a worker that polls."""
        return self.root / "worker.ready"

    @property
    def installation(self) -> Path:
        """The name that its containers carry."""
        return self.root / "installation"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "rhone.toml"

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
