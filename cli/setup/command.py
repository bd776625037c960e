"""The command `rhone setup`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.setup.report import Report, SetupFailed
from cli.setup.run import run_setup
from cli.setup.settings import SetupSettings


def setup(
    data: Annotated[Path | None, typer.Option(help="Data directory; RHONE_DATA by default.")] = None,
    skip_forge: Annotated[
        bool, typer.Option("--skip-forge", help="Leave out the forge of demo and tests.")
    ] = False,
    for_tests: Annotated[bool, typer.Option("--for-tests", help="Add what only the tests need.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say what happens as JSON lines.")] = False,
) -> None:
    """Install and build what this machine lacks; safe to repeat."""
    report = Report(as_json=as_json)
    try:
        run_setup(data or SetupSettings().data, for_tests=for_tests, forge=not skip_forge, report=report)
    except SetupFailed as failure:
        report.say(failure.part, f"FAILED: {failure}")
        raise typer.Exit(1) from failure
