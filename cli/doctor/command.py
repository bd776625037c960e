"""The command `rhone doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from cli import show as tell
from cli.doctor import deployment, machine
from cli.failure import REFUSED
from cli.home import Home
from cli.options import AsJson, DataDir
from cli.settings import read_settings

_MARKS = {"good": "✓", "weak": "!", "missing": "✗"}


def doctor(
    data: DataDir = None,
    config: Annotated[Path | None, typer.Option(help="rhone.toml; else that of the last start.")] = None,
    database_url: Annotated[
        str | None, typer.Option(help="Database; else the data directory's SQLite file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is missing or weak here, and how to mend it.

    Ends with 1 where something is missing.
    """
    settings = read_settings(data=data)
    home = Home(settings.data)
    parsed, base, first = deployment.read_config(home, config)
    checks = [
        *machine.look(home, settings.cache, deployment.images(parsed)),
        first,
        *deployment.look(home, parsed, base, database_url),
    ]
    if as_json:
        ok = all(one.state != "missing" for one in checks)
        tell.as_json({"ok": ok, "checks": [vars(one) for one in checks]})
    else:
        for one in checks:
            mend = f"; mend: {one.mend}" if one.mend else ""
            print(f"{_MARKS[one.state]} {one.name}: {one.found}{mend}")
    if any(one.state == "missing" for one in checks):
        raise typer.Exit(REFUSED)
