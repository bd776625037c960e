"""Access: the scope that a route asks for, said in its signature."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from gateway.gateway import gateway_of
from protocol.errors import Forbidden
from protocol.principal import Caller, Scope


def _needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    async def caller(request: Request) -> Caller:
        gateway = await gateway_of(request)
        found = await gateway.doorkeeper.caller(request)
        if scope not in found.scopes:
            message = f"this needs a key with the scope {scope!r}"
            raise Forbidden("auth.scope_missing", message, details={"scope": scope})
        return found

    return caller


Runner = Annotated[Caller, Depends(_needs("run"))]
Reader = Annotated[Caller, Depends(_needs("read"))]
Decider = Annotated[Caller, Depends(_needs("decide"))]
Admin = Annotated[Caller, Depends(_needs("admin"))]
