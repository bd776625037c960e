"""An SQLite file at which the newest tables stand, empty: made once, copied by every test that wants one."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from records.database import Database


def put(file: Path) -> None:
    file.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rhone.db"
        database = Database.open(f"sqlite:///{file}", Path(folder) / "blobs")
        database.migrate()
        database.close()
        return file.read_bytes()
