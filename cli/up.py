"""The command `rhone up`: Temporal, a gateway and a worker on one machine, kept running."""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.failure import Failure
from cli.home import Home, write_whole
from cli.options import AsJson, DataDir
from cli.secrets import make_secrets
from cli.settings import read_settings
from cli.supervise import stack
from cli.supervise.lock import end_leftovers, held
from cli.supervise.stack import Place
from cli.supervise.supervisor import NeverCameUp, Supervisor
from protocol.config_text import parse_config

_POLL = 0.03
_SAY_EVERY = 10.0


@dataclass(frozen=True)
class Says:
    """What `up` tells: lines for a person on standard error, the address on standard output."""

    as_json: bool

    def ready(self, url: str, home: Home) -> None:
        if self.as_json:
            print(json.dumps({"ready": url, "key_file": str(home.admin_key)}), flush=True)
            return
        print(f"ready {url}", flush=True)
        self.note(
            f"the administrator's key is in {home.admin_key}; for commands: export RHONE_DATA={home.root}"
        )

    def note(self, text: str) -> None:
        print(json.dumps({"note": text}) if self.as_json else text, file=sys.stderr, flush=True)


def up(
    data: DataDir = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the gateway; 0 takes a free one.")
    ] = 8080,
    config: Annotated[
        Path | None, typer.Option(help="Configuration; else ./rhone.toml, else the data directory's.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the logs of the children too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run everything on this machine: Temporal, gateway and worker.

    Prints `ready URL` once it serves. SIGTERM or Ctrl-C ends it in order, a second one at once. Logs of the
    children are in DIR/logs, their process ids in DIR/pids.json, the administrator's key in DIR/admin.key.
    """
    settings = read_settings(data=data)
    home = Home(settings.data)
    home.make()
    with held(home):
        chosen = _checked(config, home)
        end_leftovers(home)
        place = stack.choose_place(home, settings.cache, chosen, port)
        asyncio.run(_serve(place, Says(as_json), shown=verbose))


def _checked(asked: Path | None, home: Home) -> Path | None:
    """The configuration that counts, refused now where it is wrong."""
    found = next((path for path in (Path("rhone.toml"), home.config) if path.exists()), None)
    path = asked or found
    if path is None:
        return None
    try:
        parse_config(path.read_text(), name=str(path))
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    return path.absolute()


def _has_egress(config: Path | None) -> bool:
    return config is not None and parse_config(config.read_text(), name=str(config)).egress is not None


async def _serve(place: Place, says: Says, *, shown: bool) -> None:
    supervisor = Supervisor(place.home, says.note, shown=shown)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, _end, supervisor, says)
    try:
        make_secrets(place.home)
        place.home.worker_ready.unlink(missing_ok=True)
        proxy = [stack.egress(place)] if _has_egress(place.config) else []
        supervisor.start([stack.temporal(place), *proxy, stack.worker(place), stack.gateway(place)])
        if not (place.home.database.exists() and place.home.admin_key.exists()):
            await asyncio.to_thread(_bootstrap, place.home)
        if await _came_up(place, supervisor, says):
            supervisor.came_up()
            write_whole(place.home.address, place.url + "\n")
            says.ready(place.url, place.home)
            await supervisor.stopped()
    finally:
        try:
            await supervisor.drain()
        except NeverCameUp as error:
            raise Failure(str(error)) from error
        finally:
            place.home.address.unlink(missing_ok=True)


def _bootstrap(home: Home) -> None:
    # What it needs takes half a second to import: the children are busy with their own imports meanwhile,
    # and a later start goes without, since the gateway brings the tables up to date by itself.
    from cli.bootstrap import bootstrap

    bootstrap(home)


def _end(supervisor: Supervisor, says: Says) -> None:
    if supervisor.stopping:
        supervisor.kill()
        return
    says.note("ending: first the gateway, then the worker, then Temporal")
    supervisor.stop()


async def _came_up(place: Place, supervisor: Supervisor, says: Says) -> bool:
    started = said = time.monotonic()
    while not supervisor.stopping:
        missing = await stack.not_ready(place)
        if missing is None:
            return True
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            says.note(f"not ready after {said - started:.0f} s: {missing}")
        await asyncio.sleep(_POLL)
    return False
