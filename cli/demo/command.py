"""The command `rhone demo`."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

import typer
from rich.console import Console

from cli import show as tell
from cli.client import Client, given
from cli.demo import project
from cli.demo.stage import Stage, staged
from cli.demo.verify import Outcome, faults
from cli.failure import REFUSED, Failure
from cli.options import AsJson, DataDir
from cli.runs import Work
from cli.screen import Screen
from cli.settings import Settings, read_settings
from cli.timeline import timeline
from cli.transcript import Line
from protocol.noun import JSONObject, rfc3339

_KILL_AFTER = 2
"""Pieces of output after the start of the suite: then it is in the middle."""


def demo(data: DataDir = None, as_json: AsJson = False) -> None:
    """Show one run from a failing test to a pull request.

    Starts a forge and the whole stack on a directory of its own, gives the agent a repository with a failing
    test, kills the worker with SIGKILL in the middle of a command, approves the pull request as an operator,
    and checks at the end that nothing was lost or done twice. Ends with 1 if any of that is not so.

    The model is a script. With RHONE_DEMO_BASE_URL, RHONE_DEMO_MODEL and RHONE_DEMO_API_KEY an
    OpenAI-compatible one does the same job.
    """
    signal.signal(signal.SIGTERM, _leave)
    settings = read_settings(data=data)
    screen = Screen(Console(file=sys.stderr if as_json else None, highlight=False, soft_wrap=True))
    with staged(settings) as stage:
        play = _Play(stage, screen)
        outcome = play.perform()
        wrong = [*faults(outcome), *_reconciled(stage, settings)]
    pull = outcome.pulls[0]["html_url"] if outcome.pulls else None
    if as_json:
        tell.as_json({"ok": not wrong, "pull_request": pull, "events": outcome.kept, "faults": wrong})
    else:
        _conclude(screen, outcome, pull, wrong)
    if wrong:
        raise typer.Exit(REFUSED)


def _leave(*_: object) -> NoReturn:
    """What was started is taken down on the way out."""
    raise SystemExit(128 + signal.SIGTERM)


class _Play:
    """The demo while it goes on: what the two people in it do, and what they see."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self._stage = stage
        self._screen = screen
        self._client = stage.client
        self._streamed: list[JSONObject] = []
        self._interrupted: str | None = None
        self._dead: int | None = None
        self._killed_at = ""
        self._re_attached = False
        self._heard = 0
        self._approval: str | None = None
        self._operator, self._operator_key = self._add_operator()

    def perform(self) -> Outcome:
        self._say(f"forge {self._stage.forge.url}, gateway {self._client.url}")
        self._say(f"the task: {' '.join(project.TASK.split())}")
        made = self._client.post("/v1/runs", Work(repo=f"forge/{project.NAME}").request(project.TASK))
        run_id = cast(str, made["id"])
        for event in self._screen.shown(self._client, self._client.events(run_id)):
            self._streamed.append(event)
            self._react(event)
        if self._interrupted is None or self._approval is None:
            raise Failure("the run ended before the worker was killed or before it asked for approval")
        forge = self._stage.forge
        approval = self._client.get(f"/v1/checkpoints/{self._approval}")
        ref = cast(str, cast(Any, approval["envelope"])["push"]["ref"])
        return Outcome(
            streamed=self._streamed,
            kept=list(self._client.items(f"/v1/runs/{run_id}/events", most=1_000_000)),
            run=self._client.get(f"/v1/runs/{run_id}"),
            interrupted=self._interrupted,
            killed_at=self._killed_at,
            approval=approval,
            operator=self._operator,
            pulls=forge.pull_requests(forge.admin_user, project.NAME),
            branch_head=forge.ref(forge.admin_user, project.NAME, ref.removeprefix("refs/heads/")),
        )

    def _add_operator(self) -> tuple[str, str]:
        """Somebody else than the one who asks: with a key that can decide and not start anything."""
        operator = self._client.post("/v1/principals", {"name": "operator", "kind": "user"})
        key = self._client.post("/v1/keys", given(principal_id=operator["id"], scopes=["decide", "read"]))
        return cast(str, operator["id"]), cast(str, key["secret"])

    def _react(self, event: JSONObject) -> None:
        match event["type"]:
            case "tool_execution.output":
                self._output(event)
            case "checkpoint.opened" if event["kind"] == "approval":
                self._approve(cast(str, event["checkpoint_id"]))
            case _:
                return

    def _output(self, event: JSONObject) -> None:
        execution = cast(str, event["tool_execution_id"])
        if self._interrupted is None and project.STARTED in cast(str, event["delta"]):
            self._interrupted = execution
        if execution != self._interrupted:
            return
        self._heard += 1
        if self._dead is None and self._heard > _KILL_AFTER:
            self._dead = self._stage.worker_pid()
            os.kill(self._dead, signal.SIGKILL)
            self._killed_at = rfc3339(datetime.now(UTC))
            self._say(f"in the middle of this command the worker, process {self._dead}, got a SIGKILL")
        elif not self._re_attached and cast(str, event["at"]) > self._killed_at:
            self._re_attached = True
            self._say(f"the new worker, process {self._stage.worker_pid()}, re-attached to the same command")

    def _approve(self, checkpoint_id: str) -> None:
        self._approval = checkpoint_id
        self._say("the operator has seen this diff, and approves exactly it")
        with Client(self._client.url, self._operator_key) as operator:
            shown = operator.get(f"/v1/checkpoints/{checkpoint_id}")
            digest = shown["envelope_digest"]
            operator.post(
                f"/v1/checkpoints/{checkpoint_id}:decide", {"decision": "approve", "envelope_digest": digest}
            )

    def _say(self, text: str) -> None:
        self._screen.print([Line(f"## {text}", "loud")])


def _reconciled(stage: Stage, settings: Settings) -> list[str]:
    """`rhone reconcile` as anybody would run it."""
    argv = [sys.executable, "-m", "cli.main", "reconcile", "--data", str(stage.home.root), "--json"]
    environment = os.environ | {"RHONE_CACHE": str(settings.cache)}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return []
    try:
        return [f"reconcile: {one['subject']}: {one['text']}" for one in json.loads(done.stdout)["findings"]]
    except ValueError:
        return [f"reconcile failed: {done.stderr[-1000:]}"]


def _conclude(screen: Screen, outcome: Outcome, pull: str | None, wrong: list[str]) -> None:
    screen.print([Line("")])
    tell.table(("EVENT", "TIME", "TYPE", ""), timeline(outcome.kept), empty="")
    screen.print([Line("")])
    screen.print([Line(f"pull request: {pull}")])
    if wrong:
        screen.print([Line(f"✗ {text}", "bad") for text in wrong])
    else:
        screen.print([Line(f"events 1..{len(outcome.kept)} without a gap, effects executed once", "good")])
