"""Commands about MCP servers: which are declared, how they stand, and who is connected."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import show as tell
from cli.connect import connect
from cli.lists import Limit
from cli.mcp_accounts import connect_account, disconnect_account
from cli.options import Reach, spelled_out

mcp = typer.Typer(
    help="List MCP servers, and connect yourself to them.",
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
    yours = ""
    if server["access"] == "account":
        yours = "connected" if server["account"] else "not connected"
    tools = len(state["tools"]) if state["reachable"] else ""
    return server["name"], server["url"], reachable, state["protocol_version"], tools, yours, state["reason"]


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


mcp.command("list")(spelled_out(list_servers))
mcp.command("show")(spelled_out(show_server))
mcp.command("connect")(spelled_out(connect_account))
mcp.command("disconnect")(spelled_out(disconnect_account))
