"""The baseline of an answered request: an HTTP server that makes one durable insert and says so.

`python -m bench.bare_gateway DIRECTORY PORT`
"""

import sqlite3
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Table:
    """One table with the settings of Rhone's records: a write-ahead log, flushed at each commit."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        for setting in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.execute("CREATE TABLE said (id INTEGER PRIMARY KEY, words TEXT)")

    def insert(self, words: str) -> int | None:
        return self._connection.execute("INSERT INTO said (words) VALUES (?)", (words,)).lastrowid


def app(table: Table) -> Starlette:
    async def insert(request: Request) -> Response:
        return JSONResponse({"id": table.insert((await request.body()).decode())})

    return Starlette(routes=[Route("/insert", insert, methods=["POST"])])


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    made = app(Table(directory / "bare.db"))
    (directory / "bare_gateway.ready").write_text("ready\n")
    uvicorn.run(made, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
