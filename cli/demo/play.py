"""The demo itself: the task, the death of a worker in the middle of it, and the approval."""

from datetime import UTC, datetime
from typing import Any, Protocol, cast

from cli.client import Client, given
from cli.demo import project
from cli.demo.verify import Outcome
from cli.failure import Failure
from cli.gitea import GiteaApi
from cli.runs import Work
from cli.screen import Screen
from cli.transcript import Line
from protocol.noun import JSONObject, rfc3339

_KILL_AFTER = 2
"""Pieces of output after the start of the suite: then it is in the middle."""


class Scene(Protocol):
    """Where the demo is played: a forge, the gateways, and workers that can be killed."""

    @property
    def forge(self) -> GiteaApi: ...

    @property
    def repository(self) -> str:
        """The project's name on the forge."""
        ...

    @property
    def client(self) -> Client:
        """Who asks for the run."""
        ...

    @property
    def watcher(self) -> Client:
        """Whose gateway shows the run, and takes the operator's decision."""
        ...

    def kill_worker(self, run_id: str) -> str:
        """Give the worker that works for the run a SIGKILL; says who that was."""
        ...

    def worker(self, run_id: str) -> str:
        """Who works for the run now."""
        ...


class Play:
    """The demo while it goes on: what the two people in it do, and what they see."""

    def __init__(self, scene: Scene, screen: Screen) -> None:
        self._scene = scene
        self._screen = screen
        self._client = scene.client
        self._watcher = scene.watcher
        self._run_id = ""
        self._streamed: list[JSONObject] = []
        self._interrupted: str | None = None
        self._dead: str | None = None
        self._killed_at = ""
        self._re_attached = False
        self._heard = 0
        self._approval: str | None = None
        self._operator, self._operator_key = self._add_operator()

    def perform(self) -> Outcome:
        forge, name = self._scene.forge, self._scene.repository
        self._say(f"forge {forge.url}, gateway {self._watcher.url}")
        self._say(f"the task: {' '.join(project.TASK.split())}")
        made = self._client.post("/v1/runs", Work(repo=f"forge/{name}").request(project.TASK))
        self._run_id = run_id = cast(str, made["id"])
        for event in self._screen.shown(self._watcher, self._watcher.events(run_id)):
            self._streamed.append(event)
            self._react(event)
        if self._interrupted is None or self._approval is None:
            raise Failure("the run ended before the worker was killed or before it asked for approval")
        approval = self._client.get(f"/v1/checkpoints/{self._approval}")
        ref = cast(str, cast(Any, approval["envelope"])["push"]["ref"])
        return Outcome(
            streamed=self._streamed,
            kept=list(self._watcher.items(f"/v1/runs/{run_id}/events", most=1_000_000)),
            run=self._client.get(f"/v1/runs/{run_id}"),
            interrupted=self._interrupted,
            killed_at=self._killed_at,
            approval=approval,
            operator=self._operator,
            pulls=forge.pull_requests(forge.admin_user, name),
            branch_head=forge.ref(forge.admin_user, name, ref.removeprefix("refs/heads/")),
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
            self._dead = self._scene.kill_worker(self._run_id)
            self._killed_at = rfc3339(datetime.now(UTC))
            self._say(f"in the middle of this command the worker, {self._dead}, got a SIGKILL")
        elif self._dead and not self._re_attached and cast(str, event["at"]) > self._killed_at:
            self._re_attached = True
            self._say(f"another worker, {self._scene.worker(self._run_id)}, re-attached to the same command")

    def _approve(self, checkpoint_id: str) -> None:
        self._approval = checkpoint_id
        self._say("the operator has seen this diff, and approves exactly it")
        with Client(self._watcher.url, self._operator_key) as operator:
            shown = operator.get(f"/v1/checkpoints/{checkpoint_id}")
            digest = shown["envelope_digest"]
            operator.post(
                f"/v1/checkpoints/{checkpoint_id}:decide", {"decision": "approve", "envelope_digest": digest}
            )

    def _say(self, text: str) -> None:
        self._screen.print([Line(f"## {text}", "loud")])
