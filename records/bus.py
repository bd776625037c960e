"""Which bus of hints belongs to a database: its own on PostgreSQL, sockets in a folder beside SQLite."""

from pathlib import Path

from sqlalchemy.engine import make_url

from records.hints import Hints
from records.machine_hints import MachineHints
from records.postgresql_hints import PostgreSQLHints


def bus_for(url: str, folder: Path) -> Hints:
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    return MachineHints(folder) if is_sqlite else PostgreSQLHints(url)
