"""Sessions: the continuity handle that every call and run belongs to."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.ids import ProjectId, SessionId
from protocol.noun import Moment, Noun
from protocol.run import LimitsPatch

ExternalId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class SessionDefaults(Noun):
    """What a run of the session takes where its request is silent."""

    model: str | None = None
    limits: LimitsPatch | None = None


class SessionRequest(Noun):
    external_session_id: ExternalId | None = None
    actor_id: Annotated[str, Field(max_length=200)] | None = None
    instructions: str | None = None
    defaults: SessionDefaults = SessionDefaults()
    metadata: dict[str, str] = {}


class SessionPatch(Noun):
    """A field that is given replaces the old value wholly."""

    actor_id: Annotated[str, Field(max_length=200)] | None = None
    defaults: SessionDefaults | None = None
    metadata: dict[str, str] | None = None


class Session(Noun):
    id: SessionId
    project_id: ProjectId
    external_session_id: str | None = None
    actor_id: str | None = None
    instructions: str | None = None
    defaults: SessionDefaults = SessionDefaults()
    phase: str | None = None
    status: Literal["active", "paused"] = "active"
    metadata: dict[str, str] = {}
    created_at: Moment
    updated_at: Moment
