"""A connection to one server: opened by a task of its own, which ends with it, however it ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx2
import mcp_types as types
from mcp.client.session import IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from protocol.errors import Unavailable
from protocol.mcp import Answer, Listed, Lost, McpServerEntry, NotDone, Said, ServerFacts
from protocol.noun import JSONObject
from providers.mcp.guarded import MAX_RESPONSE, UNREACHED
from providers.mcp.session import Session

KEY = "dev.rhone/idempotency-key"
"""Where a call carries the key that is the same at each try of it."""

US = types.Implementation(name="rhone", version="1")
OPEN_SECONDS = 30.0
MOST_PAGES = 20
MOST_LISTED = 1_000
CERTAIN = frozenset(
    {UNREACHED, types.INVALID_PARAMS, types.METHOD_NOT_FOUND, types.HEADER_MISMATCH, types.INVALID_REQUEST}
)
"""Errors that say that a call was not carried out; any other may have come after it was."""

T = TypeVar("T")
Listing = dict[str, JSONObject]

_NAMED_BY: dict[Listed, str] = {"tools": "name", "resources": "uri", "prompts": "name"}


class Connection:
    """A session for one run with one server. Definitions are listed anew when they are older than the entry
    allows, or when the server says that they changed."""

    def __init__(self, name: str, entry: McpServerEntry, http: httpx2.AsyncClient) -> None:
        self.name = name
        self._entry = entry
        self._http = http
        self._closing = asyncio.Event()
        self._ready = asyncio.Event()
        self._session: Session | None = None
        self._held = asyncio.create_task(self._hold())
        self._listed: dict[Listed, tuple[float, Listing]] = {}
        self._listing = asyncio.Lock()
        self._under_way = 0
        self._used_at = asyncio.get_running_loop().time()
        self.evident = False

    @property
    def alive(self) -> bool:
        return not self._held.done() and not self._closing.is_set()

    @property
    def idle_seconds(self) -> float:
        """How long nothing has been asked over it; nothing while something is."""
        return 0.0 if self._under_way else asyncio.get_running_loop().time() - self._used_at

    async def opened(self) -> None:
        """Wait until the session is there. Raises Unavailable."""
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._held, ready}, timeout=OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._ready.is_set():
            await self.close()
            raise self._unreachable(self._reason())

    async def close(self) -> None:
        """End the session; a server that does not let go is left."""
        self._closing.set()
        await asyncio.wait({self._held}, timeout=1.0)
        self._held.cancel()
        await asyncio.wait({self._held}, timeout=1.0)

    @property
    def facts(self) -> ServerFacts:
        session = self._open_session()
        info = session.server_info
        return ServerFacts(
            protocol_version=session.protocol_version or "",
            info=info.model_dump(mode="json", exclude_none=True) if info else None,
        )

    async def listing(self, kind: Listed) -> Listing:
        """The definitions of a kind as the server sent them, by name or address; one that is listed twice is
        not in it. Raises Unavailable."""
        async with self._listing:
            now = asyncio.get_running_loop().time()
            at, listing = self._listed.get(kind, (float("-inf"), {}))
            if now - at < self._entry.recheck_ms / 1000:
                return listing
            try:
                listing = await self._within(self._all(kind), OPEN_SECONDS)
            except MCPError as error:
                if error.code != types.METHOD_NOT_FOUND:
                    raise self._unreachable(error.message) from error
                listing = {}
            except (ValidationError, TimeoutError, _Gone) as error:
                raise self._unreachable(f"it cannot be listed: {type(error).__name__}") from error
            self._listed[kind] = now, listing
            return listing

    async def call(
        self, kind: Listed, name: str, arguments: JSONObject, *, key: str, seconds: float
    ) -> Answer:
        """Call a tool, read a resource or get a prompt: send it once. What comes of it is a value, also where
        nothing comes."""
        try:
            result = await self._within(self._send(kind, name, arguments, {KEY: key}), seconds)
        except MCPError as error:
            refused = error.code in CERTAIN
            return NotDone(reason=error.message) if refused else Lost(reason=error.message)
        except ValidationError:
            return Lost(reason="the server's answer is not one of the protocol")
        except TimeoutError:
            return Lost(reason=f"the server did not answer within {seconds:g} s")
        except _Gone:
            return Lost(reason=self._reason())
        if isinstance(result, types.InputRequiredResult):
            return NotDone(reason="the server asks for more input, and nobody can be asked in this run")
        return _said(result)

    async def _send(
        self, kind: Listed, name: str, arguments: JSONObject, meta: Any
    ) -> types.CallToolResult | types.ReadResourceResult | types.GetPromptResult | types.InputRequiredResult:
        session = self._open_session()
        match kind:
            case "tools":
                return await session.call_tool(name, arguments, meta=meta, allow_input_required=True)
            case "resources":
                return await session.read_resource(name, meta=meta, allow_input_required=True)
            case "prompts":
                texts = {argument: str(value) for argument, value in arguments.items()}
                return await session.get_prompt(name, texts, meta=meta, allow_input_required=True)

    async def _all(self, kind: Listed) -> Listing:
        session, named_by = self._open_session(), _NAMED_BY[kind]
        found: list[tuple[str, JSONObject]] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page, cursor = await session.page(kind, cursor)
            found += [(str(entry[named_by]), entry) for entry in page]
            if cursor is None or len(found) > MOST_LISTED:
                break
        names = [name for name, _ in found[:MOST_LISTED]]
        return {name: entry for name, entry in found[:MOST_LISTED] if names.count(name) == 1}

    async def _hold(self) -> None:
        async with (
            self._http,
            streamable_http_client(
                self._entry.url, http_client=self._http, max_sse_event_size=MAX_RESPONSE
            ) as (incoming, outgoing),
            Session(incoming, outgoing, message_handler=self._heard, client_info=US) as session,
        ):
            await session.agree(self._entry.protocol_version)
            self._session = session
            self._ready.set()
            await self._closing.wait()

    async def _heard(self, message: IncomingMessage) -> None:
        match message:
            case types.ToolListChangedNotification():
                self._listed.pop("tools", None)
            case types.ResourceListChangedNotification():
                self._listed.pop("resources", None)
            case types.PromptListChangedNotification():
                self._listed.pop("prompts", None)
            case _:
                pass

    async def _within(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        task = asyncio.create_task(work)
        self._under_way += 1
        try:
            await asyncio.wait({task, self._held}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self._held.done():
                raise _Gone
            raise TimeoutError
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
            self._under_way -= 1
            self._used_at = asyncio.get_running_loop().time()

    def _open_session(self) -> Session:
        if self._session is None or not self.alive:
            raise self._unreachable("its session has ended")
        return self._session

    def _reason(self) -> str:
        if not self._held.done():
            return f"no session within {OPEN_SECONDS:g} s"
        fault = None if self._held.cancelled() else self._held.exception()
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        return str(fault) or type(fault).__name__

    def _unreachable(self, reason: str) -> Unavailable:
        return Unavailable("mcp.unreachable", f"the MCP server {self.name!r}: {reason[:300]}")


def _said(result: types.CallToolResult | types.ReadResourceResult | types.GetPromptResult) -> Said:
    match result:
        case types.CallToolResult():
            blocks = [_plain(block) for block in result.content]
            failed = result.is_error or False
            return Said(content=tuple(blocks), structured=result.structured_content, is_error=failed)
        case types.ReadResourceResult():
            return Said(
                content=tuple({"type": "resource", "resource": _plain(one)} for one in result.contents)
            )
        case types.GetPromptResult():
            return Said(content=tuple(_plain(message.content) for message in result.messages))


def _plain(part: BaseModel) -> JSONObject:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Gone(Exception):
    """The session ended under a request."""
