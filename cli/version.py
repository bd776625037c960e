"""The command `rhone version`."""

import json
from importlib.metadata import version as installed

from cli.options import AsJson


def version(as_json: AsJson = False) -> None:
    """Print the version."""
    number = installed("rhone-runtime")
    print(json.dumps({"version": number}) if as_json else number)
