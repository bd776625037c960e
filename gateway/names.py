"""What a path names, found for the caller's tenant; what is somebody else's does not exist."""

import re

from sqlalchemy import Connection

from protocol.checkpoint import Checkpoint
from protocol.errors import NotFound
from protocol.ids import CheckpointId, RunId, is_id
from protocol.principal import Tenant
from protocol.session import Session
from records import checkpoints, runs, sessions
from records.run_record import RunRecord

_SESSION = re.compile(r"[\x21-\x7e]{1,200}")


def session_named(connection: Connection, tenant: Tenant, name: str, *, param: str | None = None) -> Session:
    """By its id, or by the caller's own id for it."""
    found = sessions.get(connection, tenant, name) if _SESSION.fullmatch(name) else None
    if found is None:
        raise NotFound("session.not_found", f"there is no session {name[:200]!r}", param=param)
    return found


def run_named(connection: Connection, tenant: Tenant, name: str) -> RunRecord:
    found = runs.get(connection, tenant, RunId(name)) if is_id("run_", name) else None
    if found is None:
        raise NotFound("run.not_found", f"there is no run {name[:200]!r}")
    return found


def checkpoint_named(connection: Connection, tenant: Tenant, name: str) -> Checkpoint:
    found = checkpoints.get(connection, tenant, CheckpointId(name)) if is_id("ckpt_", name) else None
    if found is None:
        raise NotFound("checkpoint.not_found", f"there is no checkpoint {name[:200]!r}")
    return found
