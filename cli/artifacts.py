"""The command about artifacts: what a run kept, and the bytes of one."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import show as tell
from cli.client import Client
from cli.connect import connect
from cli.failure import Failure
from cli.options import Reach
from cli.runs import RunArgument
from protocol.digest import digest_bytes

_COLUMNS = ("NAME", "TYPE", "BYTES", "PATH", "ARTIFACT", "CREATED")
_FIELDS = ("name", "media_type", "size", "path", "id", "created_at")


def artifacts(
    run_id: RunArgument,
    reach: Reach,
    get: Annotated[str | None, typer.Option(metavar="NAME", help="Fetch this one: its name or id.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to; else standard output.")
    ] = None,
) -> None:
    """List what a run kept, or fetch one of it."""
    if output is not None and get is None:
        raise typer.BadParameter("it says where to put what --get names", param_hint="-o")
    with connect(reach) as client:
        kept = list(client.items(f"/v1/runs/{run_id}/artifacts", most=1000, order="asc"))
        if get is None:
            if reach.as_json:
                tell.as_json(kept)
            else:
                rows = [[one[field] for field in _FIELDS] for one in kept]
                tell.table(_COLUMNS, rows, empty="no artifacts")
            return
        one = _named(kept, run_id, get)
        data = _fetched(client, run_id, one)
    if output is None:
        sys.stdout.buffer.write(data)
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from error
    tell.done(one, f"{output}: {len(data)} bytes, {one['digest']}", as_json=reach.as_json)


def _named(kept: list[Any], run_id: str, name: str) -> Any:
    """Of several with one name the latest."""
    found = [one for one in kept if name in (one["name"], one["id"])]
    if not found:
        raise Failure(f"{run_id} has no artifact {name!r}")
    return found[-1]


def _fetched(client: Client, run_id: str, one: Any) -> bytes:
    data = client.download(f"/v1/runs/{run_id}/artifacts/{one['id']}/content")
    if digest_bytes(data) != one["digest"]:
        raise Failure(f"what came is not {one['digest']}")
    return data
