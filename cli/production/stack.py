"""The deployment as compose runs it."""

import json
import subprocess
import sys
from dataclasses import dataclass

from cli.failure import Failure
from cli.production.place import Place
from cli.setup.settings import CHECKOUT

_UP_WITHIN = 300


@dataclass(frozen=True)
class Stack:
    """docker-compose.yml, with or without the forge to try it on."""

    place: Place
    compose: tuple[str, ...]
    trial: bool

    @property
    def command(self) -> tuple[str, ...]:
        """What a person types before `ps`, `logs` or `down`."""
        file = ("-f", str(CHECKOUT / "docker-compose.yml"))
        environment = ("--env-file", str(self.place.compose_environment))
        wanted = {"trial": self.trial, "egress": self.place.has_egress}
        profiles = (part for name, on in wanted.items() if on for part in ("--profile", name))
        return (*self.compose, *file, *environment, *profiles)

    def up(self, *services: str) -> None:
        """Start what is missing or changed, and wait until all of it is healthy."""
        self._show("up", "--detach", "--wait", "--wait-timeout", str(_UP_WITHIN), *services)

    def down(self) -> None:
        """Stop and remove everything, with the databases."""
        self._show("down", "--volumes")

    def kill(self, service: str) -> None:
        self._told("kill", "--signal", "SIGKILL", service)

    def run(self, service: str, *argv: str) -> str:
        """What a command in a service's container says; raises Failure where it fails."""
        return self._told("exec", "-T", service, *argv)

    def address(self, service: str, port: int) -> str:
        return f"http://{self._told('port', service, str(port)).strip()}"

    def working_on(self, run_id: str) -> str | None:
        """The service whose worker has an activity of the run in hand, as Temporal knows it."""
        url = f"http://127.0.0.1:7243/api/v1/namespaces/default/workflows/{run_id}"
        told = json.loads(self.run("temporal", "curl", "-fsS", url))
        return worker_of(told)

    def _show(self, *arguments: str) -> None:
        # Where nobody watches, compose writes a hundred lines that say nothing.
        progress = "auto" if sys.stdout.isatty() else "quiet"
        done = subprocess.run([*self.command, "--progress", progress, *arguments])
        if done.returncode != 0:
            raise Failure(f"compose {arguments[0]} failed; its state: {' '.join(self.command)} ps --all")

    def _told(self, *arguments: str) -> str:
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"compose {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def worker_of(described: dict[str, object]) -> str | None:
    """Workers name themselves PROCESS@HOST, and the host is called as the service."""
    match described.get("pendingActivities"):
        case [{"state": "PENDING_ACTIVITY_STATE_STARTED", "lastWorkerIdentity": str(identity)}, *_]:
            return identity.rpartition("@")[2]
        case _:
            return None
