"""The courier: tells webhooks what stands in the outbox, signed, again and again until they take it.

At least once, in no promised order. The format is that of Standard Webhooks: `webhook-id` is the same at each
attempt, and `webhook-signature` covers id, time and body.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable

import orjson

from protocol.errors import InvalidRequest, Refused
from protocol.secret import SecretRef
from protocol.webhook import DeliveryEntry
from providers.web.guard import Guard
from providers.web.post import Poster
from records import webhooks
from records.database import Database
from records.seal import Seal
from records.webhooks import Due, Tried
from records.writer import Writer

AT_ONCE = 16
SOONEST_S, LOOK_EVERY_S = 0.05, 5.0
LONGEST_ERROR = 500


class Courier:
    """Runs in every worker; a delivery that one of them has claimed is nobody else's for a while."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        resolve: Callable[[SecretRef], str],
        seal: Seal,
        entry: DeliveryEntry,
        guard: Guard | None = None,
    ) -> None:
        self._database = database
        self._writer = writer
        self._resolve = resolve
        self._seal = seal
        self._entry = entry
        self._poster = Poster(guard or Guard(entry.allow_private), seconds=entry.timeout_s)

    async def turn(self) -> float:
        """Tell what is due; when the next is, or another courier's that died may be."""
        if await self.deliver() == AT_ONCE:
            return 0
        return max(SOONEST_S, min(await self._database.read(webhooks.due_in), LOOK_EVERY_S))

    async def deliver(self) -> int:
        """How many were tried."""
        if await self._database.read(webhooks.due_in) > 0:
            return 0
        lease = 2 * self._entry.timeout_s + 10
        due = await self._writer.commit(lambda tx: webhooks.take(tx, AT_ONCE, lease))
        await asyncio.gather(*(self._tell(one) for one in due))
        return len(due)

    async def _tell(self, due: Due) -> None:
        tried = await self._try(due)
        await self._writer.commit(lambda tx: webhooks.settle(tx, due, tried))

    async def _try(self, due: Due) -> Tried:
        try:
            body = body_of(due)
            secret = self._resolve(due.secret_ref) if due.secret_ref else webhooks.secret_of(self._seal, due)
            status = await self._poster.post(due.url, body, headers_of(due, secret, body))
        except Refused as refused:
            return self._failed(due, None, refused.message)
        return Tried(status=status) if 200 <= status < 300 else self._failed(due, status, f"HTTP {status}")

    def _failed(self, due: Due, status: int | None, error: str) -> Tried:
        over = due.attempts >= self._entry.attempts
        doubled = self._entry.first_retry_s * 2 ** min(due.attempts - 1, 40)
        again = None if over else min(doubled, self._entry.longest_retry_s)
        return Tried(status=status, error=error[:LONGEST_ERROR], again_in_s=again)


def body_of(due: Due) -> bytes:
    """The event as the stream tells it, under its type and time."""
    event = orjson.loads(due.data)
    told = {"type": due.type, "timestamp": event["at"], "data": event}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(due: Due, secret: str, body: bytes) -> dict[str, str]:
    moment = str(int(due.at.timestamp()))
    signed = b".".join((due.id.encode(), moment.encode(), body))
    mac = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "rhone-webhooks/1",
        "webhook-id": due.id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def key_of(secret: str) -> bytes:
    """The bytes behind `whsec_`; nothing is sent under a secret that is none."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise InvalidRequest(
            "auth.secret_invalid", "a webhook's secret is whsec_ and 24 to 64 bytes in base64"
        )
    return key
