"""The gateway: everything that answering a request needs, put together once."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from gateway.admission import Admission
from gateway.auth import Doorkeeper
from gateway.engine import Engine
from gateway.feed import Feed
from gateway.idempotency import Mutations
from gateway.known_checkpoints import KnownCheckpoints
from gateway.mcp_desk import McpDesk
from gateway.metrics import Metrics
from gateway.room import Room
from gateway.starts import Starts
from gateway.stream import Streams
from gateway.wakes import Wakes
from protocol.config import Config
from protocol.memory import MemoryStore
from providers.registry import Registry
from records.database import Database
from records.hints import Hints
from records.writer import Writer


@dataclass(frozen=True)
class Gateway:
    """The parts of one gateway process."""

    config: Config
    database: Database
    writer: Writer
    hints: Hints
    engine: Engine
    registry: Registry
    admission: Admission
    doorkeeper: Doorkeeper
    pepper: bytes
    mutations: Mutations
    starts: Starts
    checkpoints: KnownCheckpoints
    memory: MemoryStore
    mcp: McpDesk
    feed: Feed
    streams: Streams
    wakes: Wakes
    room: Room
    metrics: Metrics
    prepared: asyncio.Event


async def gateway_of(request: Request) -> Gateway:
    return request.app.state.gateway


Here = Annotated[Gateway, Depends(gateway_of)]
"""The gateway that a request came to."""
