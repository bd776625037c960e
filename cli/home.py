"""The data directory: which file in it is what."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


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
    def ports(self) -> Path:
        return self.root / "ports.json"

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
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "rhone.toml"

    def make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def read_pids(self) -> dict[str, int]:
        return _read_numbers(self.pids)


def _read_numbers(path: Path) -> dict[str, int]:
    """What the file says; nothing where it is absent or was cut off by a crash."""
    try:
        told = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {str(name): int(number) for name, number in told.items()}


def read_ports(home: Home) -> dict[str, int]:
    return _read_numbers(home.ports)


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Readers see the old text or the new one, never a part."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
