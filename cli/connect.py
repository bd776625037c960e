"""From what a person said to a connected client."""

from pathlib import Path

from cli.client import Client
from cli.failure import UNREACHABLE, Failure
from cli.home import Home
from cli.options import Reach
from cli.settings import read_settings


class NothingRuns(Failure):
    """No address was given, and the data directory has none."""

    exit_code = UNREACHABLE


def connect(reach: Reach) -> Client:
    """The administrator's key goes only to the address that the same data directory names."""
    settings = read_settings(data=reach.data)
    home = Home(settings.data)
    url, key = reach.url or settings.url, reach.key or settings.api_key
    if url is not None:
        return Client(url, key)
    own = _read(home.address)
    if own is None:
        raise NothingRuns(
            f"nothing runs on {home.root}: `rhone up` starts it; or give --url, --data, RHONE_DATA"
        )
    return Client(own, key or _read(home.admin_key))


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise Failure(f"{path} is not yours to read; give a key of your own with --key") from error
