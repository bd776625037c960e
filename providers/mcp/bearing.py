"""Requests that bear the token of an account: fetched for each, renewed once where the server turns it down.

Where there is no token to send, nothing is sent, and the answer says so.
"""

import re
from typing import Protocol

import httpx2
from mcp.client.auth.utils import extract_field_from_www_auth, extract_scope_from_www_auth

from protocol.errors import Fault
from protocol.ids import RunId
from providers.mcp.guarded import unreached

_SCOPE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*", re.ASCII)
_LONGEST = 500


class Bearers(Protocol):
    """The accounts of runs: each run calls a server with its principal's, and with no other."""

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        """Raises Refused where the principal has no account there."""
        ...

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        """The server asked for more than was agreed to; what is told of that."""
        ...


class Bearing(httpx2.AsyncBaseTransport):
    """A transport to one server, for one run."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, bearers: Bearers, run_id: RunId, server: str
    ) -> None:
        self._transport = transport
        self._bearers = bearers
        self._run_id = run_id
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            token = await self._bearers.token(self._run_id, self._server)
            answer = await self._sent(request, token)
            if answer.status_code == 401:
                await answer.aclose()
                answer = await self._sent(
                    request, await self._bearers.token(self._run_id, self._server, token)
                )
            if answer.status_code == 401:
                return await _turned_down(request, answer, "it does not take the account's token")
            scope = _missing_scope(answer)
            if scope is not None:
                told = await self._bearers.want(self._run_id, self._server, scope)
                return await _turned_down(request, answer, told)
        except Fault as fault:
            return unreached(request, fault.message)
        return answer

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _sent(self, request: httpx2.Request, token: str) -> httpx2.Response:
        request.headers["authorization"] = f"Bearer {token}"
        return await self._transport.handle_async_request(request)


def _missing_scope(answer: httpx2.Response) -> str | None:
    """The scope that a call would need, where that is why it was turned down; empty where it is not told."""
    if answer.status_code != 403 or extract_field_from_www_auth(answer, "error") != "insufficient_scope":
        return None
    scope = extract_scope_from_www_auth(answer) or ""
    return scope if len(scope) <= _LONGEST and _SCOPE.fullmatch(scope) else ""


async def _turned_down(request: httpx2.Request, answer: httpx2.Response, reason: str) -> httpx2.Response:
    """A server that answers so has not carried anything out."""
    await answer.aclose()
    return unreached(request, reason)
