"""The doorkeeper: which principal a request comes from, by its key or by the mode of the house."""

import time
from collections import OrderedDict
from typing import Literal

from starlette.requests import Request

from protocol.errors import RateLimited, Unauthenticated
from protocol.ids import KeyId, PrincipalId
from protocol.principal import ALL_SCOPES, Caller
from records import keys, principals
from records.database import Database
from records.keys import ReadKey

Mode = Literal["required", "optional", "disabled"]

REMEMBER_S = 1.0
"""For so long a key that another gateway revoked still opens this one."""

_REMEMBERED = 10_000


class Doorkeeper:
    """Knows keys for a second, so that a decision does not cost a look-up."""

    def __init__(self, database: Database, pepper: bytes, mode: Mode) -> None:
        self._database = database
        self._pepper = pepper
        self._mode: Mode = mode
        self._known: dict[ReadKey, tuple[float, Caller]] = {}
        self._addresses = Buckets(per_second=20, burst=40)

    async def caller(self, request: Request) -> Caller:
        sent = request.headers.get("authorization")
        if sent is None:
            return self._without_key(request)
        scheme, _, token = sent.partition(" ")
        read = keys.read(token.strip(), self._pepper) if scheme.lower() == "bearer" else None
        caller = await self._holder(read) if read is not None else None
        if caller is None:
            raise Unauthenticated("auth.invalid_key", "the key is not known here, or was revoked")
        return caller

    def forget(self, key_id: KeyId) -> None:
        """The key was revoked here: from now on it opens nothing."""
        self._known = {read: known for read, known in self._known.items() if read.key_id != key_id}

    async def _holder(self, read: ReadKey) -> Caller | None:
        known = self._known.get(read)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        caller = await self._database.read(
            lambda connection: principals.authenticate(connection, read.key_id, read.secret_hash)
        )
        if caller is None:
            self._known.pop(read, None)
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[read] = (time.monotonic() + REMEMBER_S, caller)
        return caller

    def _without_key(self, request: Request) -> Caller:
        if self._mode == "required":
            raise Unauthenticated("auth.missing_key", "Authorization: Bearer <key> is needed")
        if self._mode == "disabled":
            return OWNER
        self._addresses.take(request.client.host if request.client else "")
        return ANYBODY


OWNER = Caller(
    tenant=principals.DEFAULT,
    principal_id=principals.ADMIN,
    name="admin",
    roles=("admin",),
    scopes=ALL_SCOPES,
    auth_method="none",
)
"""Whoever reaches a house without keys; it listens on a loopback address only."""

ANYBODY = Caller(
    tenant=principals.DEFAULT,
    principal_id=PrincipalId("prin_anybody"),
    name="anybody",
    roles=(),
    scopes=("run", "read", "feedback"),
    auth_method="none",
)
"""Somebody without a key where keys are optional: a decision needs a name, so this one decides nothing."""


class Buckets:
    """A token bucket per address, for those who bring no key; who was silent longest is forgotten."""

    def __init__(self, per_second: float, burst: int, most: int = 10_000) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        now = time.monotonic()
        left, since = self._left.pop(address, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        self._left[address] = (max(0.0, left - 1), now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        if left < 1:
            raise RateLimited("quota.rate_limited", "too many requests without a key", retry_after=1)
