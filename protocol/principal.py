"""Principals: who asks, with which key, for which project."""

from typing import Literal

from protocol.ids import KeyId, OrgId, PrincipalId, ProjectId
from protocol.noun import Moment, Noun

Scope = Literal["run", "decide", "read", "feedback", "admin"]
ALL_SCOPES: tuple[Scope, ...] = ("run", "decide", "read", "feedback", "admin")


class Tenant(Noun):
    """The hard boundary of every record."""

    org_id: OrgId
    project_id: ProjectId


class Principal(Noun):
    id: PrincipalId
    name: str
    kind: Literal["user", "service"]
    roles: tuple[str, ...] = ()
    created_at: Moment


class Key(Noun):
    """A credential of a principal; the secret itself is shown once and kept as an HMAC only."""

    id: KeyId
    principal_id: PrincipalId
    scopes: tuple[Scope, ...]
    actor_id: str | None = None
    created_at: Moment
    revoked_at: Moment | None = None


class Caller(Noun):
    """Who made a request: roles are read when the decision is made, not when the key was."""

    tenant: Tenant
    principal_id: PrincipalId
    name: str
    roles: tuple[str, ...]
    scopes: tuple[Scope, ...]
    auth_method: str
    key_id: KeyId | None = None
    actor_id: str | None = None
