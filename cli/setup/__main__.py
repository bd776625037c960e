"""Set-up without the rest of the command line: `python -m cli.setup`."""

import typer

from cli.setup.command import setup

if __name__ == "__main__":
    typer.run(setup)
