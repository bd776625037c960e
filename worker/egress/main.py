"""The egress proxy's process: settings in, doors open, until told to stop."""

import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

from capabilities.signing import Signer, TrustedKey, former_keys
from protocol.config import Config
from protocol.config_text import parse_config
from protocol.egress import EgressEntry
from protocol.errors import Fault, Refused
from providers.web.guard import Guard
from records.bus import bus_for
from records.database import Database
from records.logs import configure, logger
from records.secrets import Secrets
from records.writer import Writer
from worker.egress.control import folder_of
from worker.egress.doors import Doors, public_authorities
from worker.egress.reach import Reach
from worker.known_runs import KnownRuns
from worker.settings import Settings

log = logger(__name__)


async def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """One proxy at a time serves a data directory; another one waits for its end."""
    secrets = Secrets(settings.data, environment)
    configure("egress", secrets.redact, level=logging.INFO)
    file = settings.config
    config = parse_config(file.read_text(), name=file.name) if file else Config()
    entry = config.egress
    if entry is None:
        raise Refused("egress.not_configured", "there is no [egress] in the configuration")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = folder_of(settings.data)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        lock = stack.enter_context((folder / "lock").open("a"))
        if not await _only(lock.fileno(), stop):
            return
        database = Database.open(settings.records_url, settings.data / "blobs")
        stack.callback(database.close)
        hints = bus_for(settings.records_url, settings.data / "hints")
        await hints.start()
        stack.push_async_callback(hints.close)
        writer = Writer(database, hints)
        stack.callback(writer.close)
        base = file.parent if file else settings.data
        ca = base / entry.ca if entry.ca is not None else None
        signer = Signer(secrets.resolve(config.signing.keyRef).encode())
        trusted = {signer.key_id: TrustedKey(signer.public_key), **former_keys(config.signing.former)}
        doors = Doors(
            folder,
            database,
            writer,
            KnownRuns(database, trusted),
            Reach(Guard(entry.allow_private), ca),
            Credentials(entry, secrets).value,
            public_authorities() + (ca.read_bytes() if ca is not None else b""),
        )
        stack.push_async_callback(doors.close)
        server = await doors.listen()
        stack.callback(server.close)
        looking = asyncio.create_task(doors.look_for_ever())
        log.info("ready", folder=str(folder))
        await asyncio.wait([looking, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        if looking.done():
            looking.result()


async def _only(lock: int, stop: asyncio.Event) -> bool:
    """Whether this process is the one now; false where it was told to stop before."""
    while not stop.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.2)
        else:
            return True
    return False


class Credentials:
    """The secrets of `[egress.credentials]`, each for its own host only."""

    def __init__(self, entry: EgressEntry, secrets: Secrets) -> None:
        self._entry = entry
        self._secrets = secrets

    def value(self, name: str, host: str, port: int) -> bytes:
        found = self._entry.credentials.get(name)
        if found is None or (found.host, found.port) != (host, port):
            raise Refused("egress.credential", f"{name!r} is not for {host}:{port}")
        return self._secrets.resolve(found.valueRef).encode()


def run(settings: Settings | None = None) -> None:
    """The entry of `rhone egress` and `python -m worker.egress.main`."""
    try:
        asyncio.run(serve(settings or Settings.model_validate({}), os.environ))
    except Fault as fault:
        print(f"egress: {fault.message}", file=sys.stderr)
        os._exit(1)
    except Exception:
        log.exception("the egress proxy failed")
        logging.shutdown()
        os._exit(1)
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    run()
