"""Commands about who may do what: principals and their API keys."""

from functools import partial
from typing import Annotated, Literal

import typer

from cli import show as tell
from cli.client import given
from cli.connect import connect
from cli.lists import Limit, listed
from cli.options import Reach, spelled_out

_group = partial(typer.Typer, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
key = _group(help="Create, list and revoke API keys.")
principals = _group(help="List who may do what, or add somebody.")

_KEYS = {
    "KEY": "id",
    "PRINCIPAL": "principal_id",
    "SCOPES": "scopes",
    "CREATED": "created_at",
    "REVOKED": "revoked_at",
}
_PRINCIPALS = {"PRINCIPAL": "id", "NAME": "name", "KIND": "kind", "ROLES": "roles", "CREATED": "created_at"}


def create_key(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Whose key: the principal's id.")],
    reach: Reach,
    scope: Annotated[list[str], typer.Option(help="run, decide, read, feedback or admin; repeat.")],
    actor: Annotated[str | None, typer.Option(help="The person on whose behalf it acts.")] = None,
) -> None:
    """Create a key and print its secret, which is shown this once."""
    with connect(reach) as client:
        made = client.post("/v1/keys", given(principal_id=principal, scopes=scope, actor_id=actor))
    tell.done(made, made["secret"], as_json=reach.as_json)


def list_keys(reach: Reach, limit: Limit = 50) -> None:
    """List keys; secrets are not kept."""
    listed(reach, "/v1/keys", _KEYS, limit=limit, empty="no keys")


def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")], reach: Reach
) -> None:
    """Revoke a key: from now on it opens nothing."""
    with connect(reach) as client:
        told = client.post(f"/v1/keys/{key_id}:revoke")
    tell.done(told, f"{key_id} is revoked", as_json=reach.as_json)


def create_principal(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    reach: Reach,
    kind: Annotated[Literal["user", "service"], typer.Option(help="A person or a program.")] = "user",
    role: Annotated[list[str] | None, typer.Option(help="A role that rules may ask for; repeat.")] = None,
) -> None:
    """Add a principal and print its id."""
    with connect(reach) as client:
        made = client.post("/v1/principals", {"name": name, "kind": kind, "roles": role or []})
    tell.done(made, made["id"], as_json=reach.as_json)


def list_principals(reach: Reach, limit: Limit = 50) -> None:
    """List principals."""
    listed(reach, "/v1/principals", _PRINCIPALS, limit=limit, empty="no principals")


key.command("create")(spelled_out(create_key))
key.command("list")(spelled_out(list_keys))
key.command("revoke")(spelled_out(revoke_key))
principals.command("create")(spelled_out(create_principal))
principals.command("list")(spelled_out(list_principals))
