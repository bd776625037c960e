"""Commands about MCP servers: which are declared, how they stand, and the agreement to start a program."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import show as tell
from cli.connect import connect
from cli.failure import Failure
from cli.lists import Limit
from cli.mcp_accounts import connect_account, disconnect_account
from cli.options import Reach, spelled_out

mcp = typer.Typer(
    help="List MCP servers, connect yourself, approve programs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def list_servers(reach: Reach, limit: Limit = 50) -> None:
    """List the servers of the configuration, and how each stands just now."""
    with connect(reach) as client:
        found = list(client.items("/v1/mcp-servers", most=limit))
    if reach.as_json:
        tell.as_json(found)
        return
    columns = ("SERVER", "ADDRESS", "REACHABLE", "PROTOCOL", "TOOLS", "YOU", "WHY")
    tell.table(columns, map(_row, found), empty="no MCP servers are declared")


def _row(server: Mapping[str, Any]) -> tuple[object, ...]:
    state = server["state"]
    reachable = {True: "yes", False: "no", None: ""}[state["reachable"]]
    yours = server["approved_by"] and f"approved by {server['approved_by']}"
    if server["access"] == "account":
        yours = "connected" if server["account"] else "not connected"
    tools = len(state["tools"]) if state["reachable"] else ""
    where = server["url"] or server["transport"]
    return server["name"], where, reachable, state["protocol_version"], tools, yours, state["reason"]


def show_server(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The server.")], reach: Reach
) -> None:
    """Show one server: what it lists, each with the digest that a grant pins."""
    with connect(reach) as client:
        told: dict[str, Any] = client.get(f"/v1/mcp-servers/{name}")
    if reach.as_json:
        tell.as_json(told)
        return
    state: dict[str, Any] = told.pop("state")
    lists = ("tools", "resources", "prompts")
    tell.facts(told.items())
    tell.facts((key, value) for key, value in state.items() if key not in lists)
    rows = [(kind, one["name"], one["effect"], one["digest"]) for kind in lists for one in state[kind]]
    print()
    tell.table(("LIST", "NAME", "EFFECT", "DIGEST"), rows, empty="nothing is listed")


def approve(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The server.")],
    reach: Reach,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask once more.")] = False,
) -> None:
    """Show all that would be started, and allow exactly that in this project's runs."""
    with connect(reach) as client:
        shown = client.get(f"/v1/mcp-servers/{name}")
        if shown.get("words") is None:
            raise Failure(f"{name} is no program: there is nothing to approve")
        if not reach.as_json:
            print(shown["words"])
        if not yes:
            _ask(reach)
        body = {"launch_digest": shown["launch_digest"]}
        made = client.post(f"/v1/mcp-servers/{name}:approve", body)
    tell.done(made, f"{made['id']}: {name} may be started", as_json=reach.as_json)


def _ask(reach: Reach) -> None:
    if reach.as_json or not sys.stdin.isatty():
        raise Failure("nobody is there to ask; say --yes to approve what is shown")
    if not typer.confirm("Allow this?"):
        raise Failure("nothing was approved")


mcp.command("list")(spelled_out(list_servers))
mcp.command("show")(spelled_out(show_server))
mcp.command("connect")(spelled_out(connect_account))
mcp.command("disconnect")(spelled_out(disconnect_account))
mcp.command("approve")(spelled_out(approve))
