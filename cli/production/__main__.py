"""The production shape without the rest of the command line: `python -m cli.production`."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.demo.command import conclude
from cli.failure import REFUSED, Failure, telling
from cli.gitea import GiteaApi
from cli.production import trial
from cli.production.images import make_images
from cli.production.place import Place
from cli.production.programs import Programs
from cli.production.stack import Stack
from cli.screen import Screen
from cli.setup import engine
from cli.setup.paths import cache_of
from cli.setup.process import Workshop
from cli.setup.report import Report, SetupFailed
from cli.setup.settings import SetupSettings

_ENGINE = Path("/var/run/docker.sock")


def production(
    no_trial: Annotated[bool, typer.Option("--no-trial", help="Start it, and ask nothing of it.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Remove it, with all that it keeps.")] = False,
) -> None:
    """Start the production shape on this machine and run the demo's task on it."""
    with telling(as_json=False):
        data = SetupSettings().data.resolve()
        if os.geteuid() != 0:
            raise Failure("not root: the shared directory has to be handed to the containers' user")
        if down:
            _remove(data)
        else:
            _start(data, with_trial=not no_trial)


def _start(data: Path, *, with_trial: bool) -> None:
    cache, place = cache_of(data), Place(data)
    workshop = Workshop("production", cache.logs, Report(as_json=False))
    programs = Programs(cache)
    try:
        programs.make(workshop)
        images = make_images(cache, workshop)
    except SetupFailed as failed:
        raise Failure(str(failed)) from failed
    place.make()
    place.tell_compose(images, cache.root, group=_ENGINE.stat().st_gid)
    stack = Stack(place, programs.compose(), trial=with_trial)
    forge: GiteaApi | None = None
    if with_trial:
        workshop.say("starting a forge to try it on")
        stack.up("forge")
        forge = trial.open_forge(stack, place)
    workshop.say("starting PostgreSQL, Temporal, two gateways, two workers and the proxy of their boxes")
    stack.up()
    workshop.say("all of it is healthy")
    wrong = _tried(stack, place, forge) if forge is not None else []
    print(f"gateways: {stack.address('gateway-1', 8080)} and {stack.address('gateway-2', 8080)}")
    print(f"the administrator's key is in {place.home.admin_key}")
    print(f"it goes on running; to look after it: {' '.join(stack.command)} ps")
    if wrong:
        raise typer.Exit(REFUSED)


def _tried(stack: Stack, place: Place, forge: GiteaApi) -> list[str]:
    screen = Screen(Console(highlight=False, soft_wrap=True))
    outcome, wrong = trial.play(stack, place, forge, screen)
    conclude(screen, outcome, outcome.pulls[0]["html_url"] if outcome.pulls else None, wrong)
    return wrong


def _remove(data: Path) -> None:
    place = Place(data)
    if not place.compose_environment.exists():
        raise Failure(f"there is no deployment in {place.root}")
    Stack(place, Programs(cache_of(data)).compose(), trial=True).down()
    engine.remove_boxes(place.home.installation.read_text().strip())
    shutil.rmtree(place.root)


if __name__ == "__main__":
    typer.run(production)
