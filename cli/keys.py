"""Commands about who may do what: principals and their API keys."""

from typing import Annotated, Literal

import typer

from cli import show as tell
from cli.client import given
from cli.connect import connect
from cli.options import Reach, spelled_out

key = typer.Typer(
    help="Create, list and revoke API keys.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
principals = typer.Typer(
    help="List who may do what, or add somebody.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


def create_key(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Whose key: the principal's id.")],
    reach: Reach,
    scope: Annotated[list[str], typer.Option(help="run, decide, read, feedback or admin; repeat.")],
    actor: Annotated[str | None, typer.Option(help="The person on whose behalf it acts.")] = None,
) -> None:
    """Create a key and print its secret, which is shown this once."""
    with connect(reach) as client:
        made = client.post("/v1/keys", given(principal_id=principal, scopes=scope, actor_id=actor))
    if reach.as_json:
        tell.as_json(made)
    else:
        print(made["secret"])


def list_keys(reach: Reach, limit: Limit = 50) -> None:
    """List keys; secrets are not kept."""
    with connect(reach) as client:
        found = list(client.items("/v1/keys", most=limit))
    if reach.as_json:
        tell.as_json(found)
        return
    keys = ("id", "principal_id", "scopes", "created_at", "revoked_at")
    rows = [[one.get(name) for name in keys] for one in found]
    tell.table(("KEY", "PRINCIPAL", "SCOPES", "CREATED", "REVOKED"), rows, empty="no keys")


def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")], reach: Reach
) -> None:
    """Revoke a key: from now on it opens nothing."""
    with connect(reach) as client:
        told = client.post(f"/v1/keys/{key_id}:revoke")
    if reach.as_json:
        tell.as_json(told)
    else:
        print(f"{key_id} is revoked")


def create_principal(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    reach: Reach,
    kind: Annotated[Literal["user", "service"], typer.Option(help="A person or a program.")] = "user",
    role: Annotated[list[str] | None, typer.Option(help="A role that rules may ask for; repeat.")] = None,
) -> None:
    """Add a principal and print its id."""
    with connect(reach) as client:
        made = client.post("/v1/principals", {"name": name, "kind": kind, "roles": role or []})
    if reach.as_json:
        tell.as_json(made)
    else:
        print(made["id"])


def list_principals(reach: Reach, limit: Limit = 50) -> None:
    """List principals."""
    with connect(reach) as client:
        found = list(client.items("/v1/principals", most=limit))
    if reach.as_json:
        tell.as_json(found)
        return
    rows = [[one.get(name) for name in ("id", "name", "kind", "roles", "created_at")] for one in found]
    tell.table(("PRINCIPAL", "NAME", "KIND", "ROLES", "CREATED"), rows, empty="no principals")


key.command("create")(spelled_out(create_key))
key.command("list")(spelled_out(list_keys))
key.command("revoke")(spelled_out(revoke_key))
principals.command("create")(spelled_out(create_principal))
principals.command("list")(spelled_out(list_principals))
