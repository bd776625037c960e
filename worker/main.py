"""The worker process: settings in, ports wired, polled until told to stop."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from protocol.errors import Fault
from records.logs import configure, logger
from records.secrets import Secrets
from worker.settings import Settings
from worker.wiring import run_worker

log = logger(__name__)


async def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run the worker until SIGTERM or SIGINT, then drain: what it has in hand is told or handed back."""
    secrets = Secrets(settings.data, environment)
    configure("worker", secrets.redact, level=logging.INFO)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_worker(settings, secrets, stop)


def run(settings: Settings | None = None) -> None:
    """The entry of `rhone worker` and `python -m worker.main`; the exit skips the interpreter's teardown."""
    try:
        # Not uvloop: it raises where a subprocess has closed its input before all of it was written.
        asyncio.run(serve(settings or Settings.model_validate({}), os.environ))
    except Fault as fault:
        print(f"worker: {fault.message}", file=sys.stderr)
        os._exit(1)
    except Exception:
        log.exception("the worker failed")
        logging.shutdown()
        os._exit(1)
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    run()
