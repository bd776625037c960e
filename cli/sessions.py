"""The command `rhone sessions`."""

from typing import Annotated

import typer

from cli import show as tell
from cli.connect import connect
from cli.options import Reach


def sessions(reach: Reach, limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20) -> None:
    """List sessions, newest first."""
    with connect(reach) as client:
        found = list(client.items("/v1/sessions", most=limit, order="desc"))
    if reach.as_json:
        tell.as_json(found)
        return
    rows = [
        (one["id"], one["status"], one.get("external_session_id"), one.get("actor_id"), one["created_at"])
        for one in found
    ]
    tell.table(("SESSION", "STATUS", "EXTERNAL", "ACTOR", "CREATED"), rows, empty="no sessions")
