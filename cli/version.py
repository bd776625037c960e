"""The command `rhone version`."""

from importlib.metadata import version as installed

from cli import show as tell
from cli.options import AsJson


def version(as_json: AsJson = False) -> None:
    """Print the version."""
    number = installed("rhone-runtime")
    tell.done({"version": number}, number, as_json=as_json)
