"""The command `rhone demo`."""

import os
import signal
import subprocess
import sys
from typing import NoReturn

import typer
from rich.console import Console

from cli import show as tell
from cli.demo.play import Play
from cli.demo.stage import Stage, staged
from cli.demo.verify import Outcome, faults, findings
from cli.failure import REFUSED
from cli.options import AsJson, DataDir
from cli.screen import Screen
from cli.settings import Settings, read_settings
from cli.timeline import timeline
from cli.transcript import Line


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
        play = Play(stage, screen)
        outcome = play.perform()
        wrong = [*faults(outcome), *_reconciled(stage, settings)]
    pull = outcome.pulls[0]["html_url"] if outcome.pulls else None
    if as_json:
        tell.as_json({"ok": not wrong, "pull_request": pull, "events": outcome.kept, "faults": wrong})
    else:
        conclude(screen, outcome, pull, wrong)
    if wrong:
        raise typer.Exit(REFUSED)


def _leave(*_: object) -> NoReturn:
    """What was started is taken down on the way out."""
    raise SystemExit(128 + signal.SIGTERM)


def _reconciled(stage: Stage, settings: Settings) -> list[str]:
    """`rhone reconcile` as anybody would run it."""
    argv = [sys.executable, "-m", "cli.main", "reconcile", "--data", str(stage.home.root), "--json"]
    environment = os.environ | {"RHONE_CACHE": str(settings.cache)}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    return [] if done.returncode == 0 else findings(done.stdout or done.stderr)


def conclude(screen: Screen, outcome: Outcome, pull: str | None, wrong: list[str]) -> None:
    screen.print([Line("")])
    tell.table(("EVENT", "TIME", "TYPE", ""), timeline(outcome.kept), empty="")
    screen.print([Line("")])
    screen.print([Line(f"pull request: {pull}")])
    if wrong:
        screen.print([Line(f"✗ {text}", "bad") for text in wrong])
    else:
        screen.print([Line(f"events 1..{len(outcome.kept)} without a gap, effects executed once", "good")])
