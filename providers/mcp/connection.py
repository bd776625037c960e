"""A connection to one server: opened by a task of its own, which ends with it, however it ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import mcp_types as types
from mcp.client.session import IncomingMessage
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from protocol.errors import Refused, Unavailable
from protocol.mcp import (
    NOT_APPROVED,
    Answer,
    Exchange,
    Listed,
    Lost,
    McpServerEntry,
    NotDone,
    ServerFacts,
    Unsent,
)
from protocol.noun import JSONObject
from providers.mcp.calls import KEY as KEY
from providers.mcp.calls import Call, Calls, Outgoing, SessionEnded, within
from providers.mcp.guarded import UNREACHED
from providers.mcp.session import Session
from providers.mcp.wires import Wired

NOTHING_ASKED = Exchange()
US = types.Implementation(name="rhone", version="1")
OPEN_SECONDS = 30.0
LETTING_GO = 1.0
REMOVING = 10.0
"""An engine takes a while to remove a box."""

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

    def __init__(self, name: str, entry: McpServerEntry, wired: Wired) -> None:
        self.name = name
        self._entry = entry
        self._wired = wired
        self.box: JSONObject | None = None
        self._calls = Calls()
        self._closing = asyncio.Event()
        self._ready = asyncio.Event()
        self._session: Session | None = None
        self._taken: set[str] = set()
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
        """How long nothing has been asked over it; nothing while something is, or waits for an answer."""
        return 0.0 if self._under_way or self.parked else asyncio.get_running_loop().time() - self._used_at

    async def opened(self) -> None:
        """Wait until the session is there. Raises Unavailable, and Refused for a program that nobody has
        approved."""
        if self._ready.is_set() and self.alive:
            return
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._held, ready}, timeout=OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._ready.is_set():
            await self.close()
            fault = self._fault()
            if isinstance(fault, Refused) and fault.code == NOT_APPROVED:
                raise Refused(fault.code, fault.message)
            raise self._unreachable(self._reason())

    async def close(self) -> None:
        """End the session; a server that does not let go is left."""
        self._closing.set()
        await self._calls.close()
        await asyncio.wait({self._held}, timeout=LETTING_GO if self.box is None else REMOVING)
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
            except (ValidationError, TimeoutError, SessionEnded) as error:
                raise self._unreachable(f"it cannot be listed: {type(error).__name__}") from error
            self._listed[kind] = now, listing
            return listing

    async def call(
        self,
        kind: Listed,
        name: str,
        arguments: JSONObject,
        *,
        key: str,
        seconds: float,
        exchange: Exchange = NOTHING_ASKED,
    ) -> Answer:
        """Call a tool, read a resource or get a prompt: send it once, or go on with what it asked. What comes
        of it is a value, also where nothing comes."""
        if self._session is None or not self.alive:
            return self._broken_off(key, "its session has ended")
        call = Call(kind, name, arguments, key, seconds, exchange)
        self._under_way += 1
        try:
            return await self._calls.make(self._session, call, self._held)
        except MCPError as error:
            if error.code in CERTAIN:
                return NotDone(reason=error.message)
            return self._broken_off(key, error.message)
        except ValidationError:
            return Lost(reason="the server's answer is not one of the protocol")
        except TimeoutError:
            return Lost(reason=f"the server did not answer within {seconds:g} s")
        except SessionEnded:
            return self._broken_off(key, self._reason())
        finally:
            self._under_way -= 1
            self._used_at = asyncio.get_running_loop().time()

    @property
    def parked(self) -> tuple[str, ...]:
        """The keys of the calls that wait here for an answer from a person."""
        return self._calls.parked if self.alive else ()

    async def drop(self, key: str) -> None:
        """Nobody will answer any more: the server is told that the call is over."""
        await self._calls.drop(key)

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
            self._wired as (incoming, wire, self.box),
            Session(
                incoming,
                outgoing := Outgoing(wire),
                elicitation_callback=self._calls.asked,
                message_handler=self._heard,
                client_info=US,
            ) as session,
        ):
            await session.agree(self._entry.protocol_version)
            self._session, self._taken = session, outgoing.taken
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
        self._under_way += 1
        try:
            return await within(asyncio.create_task(work), seconds, self._held)
        finally:
            self._under_way -= 1
            self._used_at = asyncio.get_running_loop().time()

    def _broken_off(self, key: str, reason: str) -> Lost | Unsent:
        """What becomes of a call under an end: a session that took nothing of it takes nothing any more."""
        if key in self._taken:
            return Lost(reason=reason)
        self._closing.set()
        return Unsent(reason=reason)

    def _open_session(self) -> Session:
        if self._session is None or not self.alive:
            raise self._unreachable("its session has ended")
        return self._session

    def _reason(self) -> str:
        if not self._held.done():
            return f"no session within {OPEN_SECONDS:g} s"
        fault = self._fault()
        return str(fault) or type(fault).__name__

    def _fault(self) -> BaseException | None:
        if not self._held.done() or self._held.cancelled():
            return None
        fault = self._held.exception()
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        return fault

    def _unreachable(self, reason: str) -> Unavailable:
        return Unavailable("mcp.unreachable", f"the MCP server {self.name!r}: {reason[:300]}")
