"""The gateway process: settings in, parts wired, served until told to stop."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Mapping

import uvloop

from gateway.app import build
from gateway.engine import TemporalEngine
from gateway.server import Server, listen
from gateway.settings import Settings
from gateway.wiring import auth_mode, opened, read_config
from protocol.errors import Fault
from records.logs import configure, logger
from records.secrets import Secrets

log = logger("gateway")


async def serve(settings: Settings, environment: Mapping[str, str]) -> None:
    """Answer until SIGTERM or SIGINT, then drain."""
    secrets = Secrets(settings.data, environment)
    configure("gateway", secrets.redact)
    config = read_config(settings.config)
    engine = TemporalEngine(settings.temporal_address, settings.temporal_namespace)
    async with opened(settings, config, secrets, engine) as gateway:
        app = build(gateway, open_house=auth_mode(settings, config) == "disabled")
        server = Server(app, gateway.room, gateway.feed, settings)
        with listen(settings.host, settings.port) as listener:
            host, port = listener.getsockname()[:2]
            gc.freeze()  # else the collector soon walks through all that was imported, for 100 ms
            log.info("listening", host=host, port=port)
            await server.serve(sockets=[listener])
    log.info("stopped")


def run(settings: Settings | None = None) -> None:
    """The entry of `python -m gateway.main`; the exit skips the interpreter's teardown."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings or Settings(), os.environ))  # pyright: ignore[reportCallIssue]
    except Fault as fault:
        print(f"gateway: {fault.message}", file=sys.stderr)
        os._exit(1)
    except Exception:
        log.exception("the gateway failed")
        logging.shutdown()
        os._exit(1)
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    run()
