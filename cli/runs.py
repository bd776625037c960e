"""Commands about runs: start, list, show, follow."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any, cast

import typer

from cli import show as tell
from cli.client import Body, Client, given
from cli.connect import connect
from cli.failure import REFUSED
from cli.lists import Limit, listed
from cli.options import Reach
from cli.screen import Screen
from protocol.noun import JSONObject

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]

_COLUMNS = {
    "RUN": "id",
    "STATUS": "status",
    "BECAUSE": "stop_reason",
    "MODEL": "model",
    "STEPS": "step_count",
    "SPAWNED BY": "parent_run_id",
    "CREATED": "created_at",
}
WORKSPACE_TOOLS = ("bash", "read_file", "write_file", "edit_file", "glob", "grep", "save_artifact")


@dataclass(frozen=True)
class Work:
    """Where a task is done, by which model, with which tools."""

    repo: Annotated[str | None, typer.Option(help="Repository, as FORGE/NAME or FORGE/OWNER/NAME.")] = None
    base: Annotated[str, typer.Option(help="Branch to start from.")] = "main"
    branch: Annotated[str | None, typer.Option(help="Branch to work on; else one of the run's own.")] = None
    target: Annotated[
        str | None, typer.Option(help="Workspace to work in; `default` where a repository is given.")
    ] = None
    model: Annotated[str | None, typer.Option(help="Model; else the session's or the alias `default`.")] = (
        None
    )
    session: Annotated[str | None, typer.Option(help="Session to go on in; else a new one.")] = None
    tool: Annotated[
        list[str] | None, typer.Option(help="Tool to offer; repeat. Else all that the workspace has.")
    ] = None
    approval: Annotated[
        list[str] | None, typer.Option(metavar="TOOL=ask|auto", help="When to ask a person; repeat.")
    ] = None
    max_turns: Annotated[int | None, typer.Option(help="Stop after so many model turns.")] = None

    def request(self, task: str) -> Body:
        """The body of POST /v1/runs."""
        return given(
            input=task,
            model=self.model,
            session_id=self.session,
            target=self._target(),
            capabilities=self._capabilities(),
            limits=given(max_turns=self.max_turns),
        )

    def _target(self) -> Body | None:
        if self.repo is None:
            return {"kind": "workspace", "name": self.target} if self.target else None
        repo = given(remote=self.repo, base=self.base, branch=self.branch)
        return {"kind": "workspace", "name": self.target or "default", "repo": repo}

    def _capabilities(self) -> list[dict[str, object]]:
        approvals = dict(_approval(text) for text in self.approval or ())
        usual = WORKSPACE_TOOLS if self.repo or self.target else ()
        usual += ("open_pull_request",) if self.repo else ()
        names = dict.fromkeys((*(self.tool or usual), *approvals))
        return [given(kind="tool", name=name, approval=approvals.get(name)) for name in names]


def _approval(text: str) -> tuple[str, str]:
    tool, _, when = text.partition("=")
    if not tool or when not in ("ask", "auto"):
        raise typer.BadParameter(f"{text!r} is not TOOL=ask or TOOL=auto", param_hint="--approval")
    return tool, when


def run(
    task: Annotated[str, typer.Argument(help="What to do; `-` reads it from standard input.")],
    work: Work,
    reach: Reach,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it ends.")] = False,
) -> None:
    """Give the agent a task.

    Prints the run's id at once; with --watch follows it, and ends with 1 where the run does not complete.
    """
    body = work.request(sys.stdin.read() if task == "-" else task)
    with connect(reach) as client:
        made = client.post("/v1/runs", body)
        if watch:
            _follow(client, cast(str, made["id"]), reach)
        else:
            tell.done(made, cast(str, made["id"]), as_json=reach.as_json)


def watch(
    run_id: RunArgument,
    reach: Reach,
    after: Annotated[int, typer.Option(min=0, help="Begin after this event.")] = 0,
) -> None:
    """Follow a run's events until it ends.

    Ends with 1 where the run does not complete.
    """
    with connect(reach) as client:
        _follow(client, run_id, reach, after=after)


def _follow(client: Client, run_id: str, reach: Reach, *, after: int = 0) -> None:
    last: JSONObject | None = None
    if reach.as_json:
        for last in client.events(run_id, after=after):
            print(json.dumps(last, ensure_ascii=False), flush=True)
    else:
        last = Screen().follow(client, run_id, after=after)
    if last is None or last["type"] != "run.completed":
        raise typer.Exit(REFUSED)


def runs(
    reach: Reach,
    session: Annotated[str | None, typer.Option(help="Only those of a session.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those in a state, as `waiting`.")] = None,
    parent: Annotated[str | None, typer.Option(help="Only those that a run spawned.")] = None,
    limit: Limit = 20,
) -> None:
    """List runs, newest first."""
    query = {"order": "desc", "session_id": session, "status": status, "parent_run_id": parent}
    listed(reach, "/v1/runs", _COLUMNS, limit=limit, empty="no runs", **query)


def show(run_id: RunArgument, reach: Reach) -> None:
    """Show one run: its state, its tools and what it waits for."""
    with connect(reach) as client:
        told = client.get(f"/v1/runs/{run_id}")
        tools = list(client.items(f"/v1/runs/{run_id}/tool-executions", most=1000, order="asc"))
        asked = list(client.items("/v1/checkpoints", most=1000, order="asc", run_id=run_id))
        below = list(client.items("/v1/runs", most=1000, order="asc", parent_run_id=run_id))
    if reach.as_json:
        tell.as_json({**told, "tool_executions": tools, "checkpoints": asked, "subruns": below})
        return
    tell.facts(_facts(told))
    if told.get("output_text"):
        print()
        tell.text(f"{cast(str, told['output_text']).strip()}\n")
    if tools:
        print()
        rows = [(one["step"], one["tool"], one["status"], one.get("outcome"), _ms(one)) for one in tools]
        tell.table(("STEP", "TOOL", "STATUS", "OUTCOME", "TOOK"), rows, empty="")
    if below:
        print()
        rows = [(one["id"], one["status"], one.get("stop_reason"), one["step_count"]) for one in below]
        tell.table(("SUBRUN", "STATUS", "BECAUSE", "STEPS"), rows, empty="")
    if asked:
        print()
        rows = [(one["id"], one["kind"], one["status"], one.get("tool"), _by(one)) for one in asked]
        tell.table(("CHECKPOINT", "KIND", "STATUS", "TOOL", "BY"), rows, empty="")


def _facts(told: JSONObject) -> list[tuple[str, object]]:
    usage: Any = told.get("usage") or {}
    repo: Any = cast(Any, told.get("target") or {}).get("repo") or {}
    error: Any = told.get("error")
    return [
        ("run", told["id"]),
        ("session", told["session_id"]),
        ("spawned by", told.get("parent_run_id")),
        ("status", told["status"]),
        ("because", told.get("stop_reason")),
        ("error", f"{error['message']} ({error['code']})" if error else None),
        ("model", told.get("primary_resolved_model") or told["model"]),
        ("repository", repo.get("remote")),
        ("branch", repo.get("branch")),
        ("steps", told["step_count"]),
        ("tokens", usage.get("total")),
        ("cost", f"{told['cost_usd']:.4f} USD" if told.get("cost_usd") is not None else None),
        ("created", told["created_at"]),
        ("completed", told.get("completed_at")),
    ]


def _ms(tool: JSONObject) -> str | None:
    took = tool.get("duration_ms")
    return None if not isinstance(took, int) else f"{took / 1000:.1f} s"


def _by(checkpoint: JSONObject) -> str:
    decisions = cast(list[JSONObject], checkpoint.get("decisions") or [])
    return ", ".join(str(one["by_name"]) for one in decisions)


def diff(run_id: RunArgument, reach: Reach) -> None:
    """Show what a run changed in its workspace."""
    with connect(reach) as client:
        told = client.get(f"/v1/runs/{run_id}/diff")
    if reach.as_json:
        tell.as_json(told)
        return
    tell.text(cast(str, told["diff"]))
