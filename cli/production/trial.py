"""The demo's task on the deployment: asked of one gateway, watched and decided on the other."""

import json
import secrets
from dataclasses import dataclass
from functools import partial

from cli.client import Client
from cli.demo import project
from cli.demo.play import Play
from cli.demo.verify import Outcome, faults, findings
from cli.failure import Failure
from cli.gitea import GiteaApi, make_administrator
from cli.home import write_whole
from cli.production.place import Place
from cli.production.stack import Stack
from cli.screen import Screen


@dataclass(frozen=True)
class Deployment:
    """The scene of the demo when workers are containers."""

    stack: Stack
    forge: GiteaApi
    client: Client
    watcher: Client
    repository: str

    def kill_worker(self, run_id: str) -> str:
        service = self.stack.working_on(run_id)
        if service is None:
            raise Failure(f"no worker has an activity of {run_id} in hand")
        self.stack.kill(service)
        return f"container {service}"

    def worker(self, run_id: str) -> str:
        return f"container {self.stack.working_on(run_id)}"


def open_forge(stack: Stack, place: Place) -> GiteaApi:
    """The forge beside the deployment. Its administrator is made once; workers find the token in a file."""
    kept = place.root / "forge.json"
    if not kept.exists():
        gitea = ("gitea", "--config", "/var/lib/forge/app.ini", "admin", "user")
        credentials = make_administrator(partial(stack.run, "forge", *gitea))
        write_whole(kept, json.dumps(credentials) + "\n", mode=0o600)
    forge = GiteaApi(stack.address("forge", 3000), json.loads(kept.read_text()))
    place.keep(place.home.root / "forge.token", forge.token + "\n")
    return forge


def play(stack: Stack, place: Place, forge: GiteaApi, screen: Screen) -> tuple[Outcome, list[str]]:
    """What was seen, and what of it is not as it has to be."""
    repository = f"{project.NAME}-{secrets.token_hex(3)}"
    forge.create_repository(repository, project.FILES)
    key = place.home.admin_key.read_text().strip()
    with (
        Client(stack.address("gateway-1", 8080), key) as client,
        Client(stack.address("gateway-2", 8080), key) as watcher,
    ):
        outcome = Play(Deployment(stack, forge, client, watcher, repository), screen).perform()
    stack.up()
    return outcome, [*faults(outcome), *_reconciled(stack)]


def _reconciled(stack: Stack) -> list[str]:
    """`rhone reconcile` where all four sides are in reach: in a worker's container."""
    where = ("--database-url", "postgresql+psycopg://rhone@postgres/rhone")
    where += ("--config", "/etc/rhone/rhone.toml", "--temporal-address", "temporal:7233", "--json")
    argv = ("python3", "-m", "cli.main", "reconcile", *where)
    try:
        return findings(stack.run("worker-1", "sh", "-c", '"$@" || true', "sh", *argv))
    except Failure as failure:
        return [f"reconcile failed: {failure}"]
