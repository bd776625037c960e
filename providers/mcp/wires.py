"""The wires to servers: streamable HTTP to a declared address, or the standard streams of a program."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple, Protocol

import anyio
import httpx2
import mcp_types as types
from anyio.streams.memory import MemoryObjectSendStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from protocol.errors import Refused
from protocol.mcp import McpServerEntry
from protocol.noun import JSONObject
from protocol.secret import SecretRef
from providers.mcp.guarded import CONNECT_SECONDS, MAX_RESPONSE, Guarded
from providers.mcp.tokens import credentials


class Program(Protocol):
    """A program that runs somewhere. `receive` raises Refused when it has ended."""

    @property
    def evidence(self) -> JSONObject: ...

    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes: ...

    async def close(self) -> None: ...


class Wire(NamedTuple):
    """What a session reads and writes; `box` is what a program runs in."""

    incoming: Any  # the SDK has no public name for its streams
    outgoing: Any
    box: JSONObject | None = None


Wired = AbstractAsyncContextManager[Wire]

SILENT_SECONDS = 3_700.0
"""How long a server may be silent while somebody is asked; a call has a limit of its own."""


@asynccontextmanager
async def over_http(
    entry: McpServerEntry,
    secret: Callable[[SecretRef], str],
    bear: Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport],
) -> AsyncGenerator[Wire]:
    """Bearer and tokens go to the declared origins alone; with an issuer there is metadata elsewhere. `bear`
    adds the token of an account."""
    url, oauth = entry.url or "", entry.oauth
    declared = [url, *([oauth.issuer] if oauth else [])]
    guarded = Guarded(declared, private=entry.private_network, others=oauth is not None)
    client = httpx2.AsyncClient(
        transport=bear(guarded) if entry.account else guarded,
        headers={"authorization": f"Bearer {secret(entry.auth)}"} if entry.auth else {},
        auth=credentials(url, oauth, secret) if oauth else None,
        timeout=httpx2.Timeout(CONNECT_SECONDS, read=SILENT_SECONDS),
        trust_env=False,
    )
    async with (
        client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MAX_RESPONSE) as (into, out_of),
    ):
        yield Wire(into, out_of)


@asynccontextmanager
async def over_stdio(start: Callable[[], Awaitable[Program]]) -> AsyncGenerator[Wire]:
    """A message is a line. The program ends with the wire."""
    program = await start()
    into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, out_of = anyio.create_memory_object_stream[SessionMessage](0)

    async def write() -> None:
        async with out_of:
            async for item in out_of:
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await program.send(line.encode() + b"\n")

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, program, into)
            tasks.start_soon(write)
            yield Wire(incoming, outgoing, program.evidence)
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await program.close()


async def _read(program: Program, into: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    line = bytearray()
    async with into:
        while True:
            *ends, rest = (await program.receive()).split(b"\n")
            for end in ends:
                line += end
                await into.send(_message(bytes(line)))
                line.clear()
            line += rest
            if len(line) > MAX_RESPONSE:
                raise Refused("mcp.too_much", f"a line is over {MAX_RESPONSE} bytes")


def _message(line: bytes) -> SessionMessage | Exception:
    """What is no message is told to the session, which drops it: programs print all kinds of things."""
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as fault:
        return fault
