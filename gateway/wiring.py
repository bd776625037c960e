"""How a gateway is put together: records, models, the door and the feed behind one object."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from capabilities.catalogue import Catalogue
from capabilities.counting import counting_definitions
from capabilities.policy import Policy, shipped
from capabilities.policy_layers import Layers
from gateway.admission import Admission
from gateway.auth import Doorkeeper, Mode
from gateway.engine import Engine
from gateway.feed import Feed
from gateway.gateway import Gateway
from gateway.idempotency import Mutations
from gateway.known_checkpoints import KnownCheckpoints
from gateway.mcp_desk import McpDesk
from gateway.metrics import Metrics
from gateway.room import Room
from gateway.rules import Rules
from gateway.settings import Settings
from gateway.starts import Starts
from gateway.stream import PING_S, Streams
from gateway.wakes import Wakes
from protocol.config import Config
from protocol.config_text import parse_config
from protocol.errors import InvalidRequest, Unavailable
from protocol.memory import MemoryStore
from providers.mcp.accounts import Accounts
from providers.memory_http import HttpMemory
from providers.registry import Registry
from records import principals, webhooks
from records.bus import bus_for
from records.database import Database
from records.keys import pepper_in
from records.logs import logger
from records.mcp_accounts import McpAccounts
from records.memory import Memories
from records.seal import Seal
from records.secrets import Secrets
from records.writer import Writer

LOOK_AGAIN_S = 0.5


@asynccontextmanager
async def opened(
    settings: Settings, config: Config, secrets: Secrets, engine: Engine, *, ping_s: float = PING_S
) -> AsyncGenerator[Gateway]:
    """A gateway that can answer; its tables are brought up to date once a database is there."""
    mode = auth_mode(settings, config)
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        database = Database.open(settings.records_url, settings.data / "blobs")
        stack.callback(database.close)
        hints = bus_for(settings.records_url, settings.hints_dir or settings.data / "hints")
        await hints.start()
        stack.push_async_callback(hints.close)
        writer = Writer(database, hints)
        stack.push_async_callback(asyncio.to_thread, writer.close)
        registry = Registry(config, secrets.resolve, base_dir_of(settings))
        stack.push_async_callback(registry.close)
        extra = counting_definitions() if config.counting_tools else ()
        admission = Admission(config, registry, Catalogue(extra))
        pepper = pepper_in(settings.data)
        kept = McpAccounts(database, writer, Seal(pepper))
        accounts = Accounts(config.mcp_servers, kept, secrets.resolve, secrets.mask)
        metrics, feed, wakes = Metrics(), Feed(database, hints), Wakes(engine)
        stack.push_async_callback(wakes.settle)
        stack.callback(feed.close)
        prepared = asyncio.Event()
        preparing = asyncio.create_task(_prepare(database, writer, config, pepper, prepared))
        stack.callback(preparing.cancel)
        most = config.limits
        yield Gateway(
            config=config,
            database=database,
            writer=writer,
            hints=hints,
            engine=engine,
            registry=registry,
            admission=admission,
            doorkeeper=Doorkeeper(database, pepper, mode),
            pepper=pepper,
            mutations=Mutations(writer),
            starts=Starts(
                database,
                writer,
                engine,
                admission,
                Rules(Layers(_policy(config, base_dir_of(settings))), registry),
                metrics,
                declared=config.budgets,
                most_open=most.open_runs,
            ),
            checkpoints=KnownCheckpoints(database),
            memory=_memory(config, secrets, database, writer),
            mcp=McpDesk(database, config.mcp_servers, secrets.resolve, accounts),
            feed=feed,
            streams=Streams(feed, metrics, ping_s=ping_s),
            wakes=wakes,
            room=Room(most.requests_in_flight, most.streams, metrics),
            metrics=metrics,
            prepared=prepared,
        )


def _memory(config: Config, secrets: Secrets, database: Database, writer: Writer) -> MemoryStore:
    entry = config.memory
    if entry is None:
        return Memories(database, writer)
    return HttpMemory(entry.url, lambda: secrets.resolve(entry.apiKeyRef))


def _policy(config: Config, base_dir: Path) -> Policy:
    return Policy.load(
        [shipped(), *((name, (base_dir / name).read_text()) for name in config.policies.files)]
    )


def read_config(path: Path | None) -> Config:
    return parse_config(path.read_text(), name=path.name) if path is not None else Config()


def base_dir_of(settings: Settings) -> Path:
    """Where the files that the configuration names lie."""
    return settings.config.parent if settings.config is not None else settings.data


def auth_mode(settings: Settings, config: Config) -> Mode:
    """Refuses a house without keys that others can reach."""
    mode = settings.auth_mode or config.auth.mode
    if mode == "disabled" and not _is_loopback(settings.host):
        message = f"auth.mode: 'disabled' goes with a loopback address only, not with {settings.host}"
        raise InvalidRequest("config.invalid", message, param="auth.mode")
    return mode


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _prepare(
    database: Database, writer: Writer, config: Config, pepper: bytes, prepared: asyncio.Event
) -> None:
    """The tables, the default tenant and what is declared; a database that is not there yet is waited for."""
    while True:
        try:
            await asyncio.to_thread(database.migrate, pepper)
            await writer.commit(principals.bootstrap)
            unknown = await writer.commit(lambda tx: webhooks.declare(tx, config.webhooks))
        except Unavailable as fault:
            logger("gateway").warning("the records are not there yet", reason=fault.message)
            await asyncio.sleep(LOOK_AGAIN_S)
        else:
            for name in unknown:
                logger("gateway").error("no such project: the webhook tells nothing", webhook=name)
            prepared.set()
            return
