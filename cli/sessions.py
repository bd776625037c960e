"""The command `rhone sessions`."""

from cli.lists import Limit, listed
from cli.options import Reach

_COLUMNS = {
    "SESSION": "id",
    "STATUS": "status",
    "EXTERNAL": "external_session_id",
    "ACTOR": "actor_id",
    "CREATED": "created_at",
}


def sessions(reach: Reach, limit: Limit = 20) -> None:
    """List sessions, newest first."""
    listed(reach, "/v1/sessions", _COLUMNS, limit=limit, empty="no sessions", order="desc")
