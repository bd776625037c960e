"""One mechanism around every mutation: asked for twice under one key, it is made once and answered twice.

A unit of work may raise Refused, before it changes anything: the answer is then that refusal, and the key is
as good as new. What is kept is the resource's id and status; whoever replays renders the resource again.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

from gateway.bodies import Body
from protocol.errors import Conflict, InvalidRequest, Refused
from protocol.ids import RunId
from protocol.principal import Caller
from records import idempotency
from records.idempotency import Scope
from records.tx import Tx
from records.writer import Writer

T = TypeVar("T")

REPLAYED = {"Idempotency-Replayed": "true"}
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Made(Generic[T]):
    """What a unit of work made or changed, under the id by which it is found again."""

    resource_id: str
    value: T
    status: int = 200


@dataclass(frozen=True)
class Done(Generic[T]):
    """A mutation that is committed; `value` is None where it was committed by an earlier request."""

    resource_id: str
    status: int
    value: T | None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.value is not None else REPLAYED


def scope_of(request: Request, caller: Caller) -> Scope | None:
    """Where the request's key is unique; None where it brings none."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if _KEY.fullmatch(key) is None:
        message = "Idempotency-Key: 1 to 255 visible ASCII characters"
        raise InvalidRequest("idempotency.key_invalid", message, param="Idempotency-Key")
    return Scope(
        project_id=caller.tenant.project_id,
        principal_id=caller.principal_id,
        route=f"{request.method} {request.scope['route'].path}",
        path_ids=tuple(str(value) for value in request.path_params.values()),
        key=key,
    )


class Mutations:
    """Commits units of work, each at most once per key."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def once(
        self,
        scope: Scope | None,
        body: Body,
        unit: Callable[[Tx], Made[T]],
        *,
        runs: Collection[RunId] = (),
    ) -> Done[T]:
        payload = body.digest if scope is not None else ""

        def keyed(tx: Tx) -> Made[T] | Refused | idempotency.Replay:
            if scope is None:
                return _refusal_or(unit, tx)
            match idempotency.begin(tx, scope, payload):
                case idempotency.Replay() as replay:
                    return replay
                case idempotency.InProgress():
                    return in_progress()
                case idempotency.Mismatch():
                    message = "this Idempotency-Key was used for another request"
                    return Conflict("idempotency.conflict", message, param="Idempotency-Key")
                case idempotency.Begun():
                    pass
            made = _refusal_or(unit, tx)
            if isinstance(made, Refused):
                idempotency.forget(tx, scope)
            else:
                idempotency.keep(tx, scope, made.resource_id, made.status)
            return made

        found = await self._writer.commit(keyed, runs=runs)
        match found:
            case Refused():
                raise found
            case idempotency.Replay(resource_id=resource_id, status=status):
                return Done(resource_id, status, None)
            case Made():
                return Done(found.resource_id, found.status, found.value)


def in_progress() -> Conflict:
    message = "a request with this Idempotency-Key is being worked on; ask again"
    return Conflict("idempotency.in_progress", message, param="Idempotency-Key")


def _refusal_or(unit: Callable[[Tx], Made[T]], tx: Tx) -> Made[T] | Refused:
    """A refusal as a value: the batch that the unit is part of goes on."""
    try:
        return unit(tx)
    except Refused as refused:
        return refused
