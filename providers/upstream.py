"""A model behind HTTP: one request a call in the words of its dialect, nothing repeated."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx2
import orjson

from protocol.block import Provenance
from protocol.config import ProviderEntry
from protocol.digest import digest
from protocol.errors import Fault, InvalidRequest
from protocol.model import ModelEvent, ModelRequest, Notice, StreamError
from protocol.noun import JSON
from protocol.sse import FRAME_LIMIT, Comment, Frame, FrameTooLong, Parser
from providers import failures
from providers.exchange import Broken, Exchange, Patience
from providers.history import Unbalanced
from providers.masked import masked
from providers.refusals import Scrubber, by_response, failure_of, told_by

_ERROR_LIMIT = 64 * 1024
_OWN_HOSTS = {"localhost", "127.0.0.1", "::1"}
_UNSTREAMED = "the backend answered with something that is not a stream"


class Answer(Protocol):
    """One answer while it arrives. `over` once its terminal event was given; `progress` counts content."""

    over: bool
    progress: int

    def take(self, frame: Frame | Comment) -> list[ModelEvent]: ...

    def last(self, frame: Frame | None) -> list[ModelEvent]:
        """The stream ended; a frame without its blank line counts if it can be read."""
        ...

    def broke(self, failure: StreamError) -> list[ModelEvent]:
        """The transport failed; an answer that already had its end is whole."""
        ...

    def whole(self, body: JSON) -> list[ModelEvent]:
        """A body that came in one piece; empty where it is not an answer."""
        ...


@dataclass(frozen=True)
class Sending:
    """A request as it goes out, and the reader of what comes back."""

    url: str
    headers: Mapping[str, str]
    content: bytes
    notices: Mapping[str, str]
    answer: Answer
    stripped: Callable[[], "Sending"] | None = None
    """The same without opaque state, for a backend that refuses it; None where none goes along."""


class Dialect(Protocol):
    """A vendor's wire: how a request is written, and how its answer is read."""

    def write(self, request: ModelRequest, key: str, attempt: int, scrubber: Scrubber) -> Sending:
        """Raises Unbalanced, or a ValueError that says why the request cannot be written."""
        ...


class Upstream:
    """One entry's backend. `key` is asked at every request; the value is kept nowhere."""

    def __init__(
        self, dialect: Dialect, entry: ProviderEntry, key: Callable[[], str], patience: Patience | None = None
    ) -> None:
        self._dialect = dialect
        self._key = key
        self._own = is_own(entry)
        self._patience = patience or Patience(total=entry.timeout_ms / 1000)
        self._opened: httpx2.AsyncClient | None = None

    async def stream(self, request: ModelRequest, *, attempt: int) -> AsyncGenerator[ModelEvent, None]:
        try:
            key = self._credential()
            sending = self._written(request, key, attempt)
        except Broken as broken:
            yield broken.failure
            return
        again: Sending | None = sending
        while again is not None:
            sending, again = again, None
            for code, detail in sending.notices.items():
                yield Notice(code=code, detail=detail)
            async with aclosing(self._exchange(sending, Scrubber((key,)))) as events:
                async for event in masked(events, key):
                    if sending.stripped is not None and _rejects_state(event):
                        again = sending.stripped()
                        break
                    yield event

    async def _exchange(self, sending: Sending, scrubber: Scrubber) -> AsyncGenerator[ModelEvent, None]:
        exchange = Exchange(self._client(), self._patience)
        answer = sending.answer
        try:
            response = await exchange.send(sending.url, dict(sending.headers), sending.content)
            if not response.is_success:
                raw = await exchange.read_refusal(_ERROR_LIMIT)
                yield by_response(response.status_code, response.headers, raw, scrubber)
                return
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind in ("application/json", "text/html"):
                for event in _unstreamed(await exchange.read_all(FRAME_LIMIT), answer, scrubber):
                    yield event
                return
            parser = Parser()
            while not answer.over:
                for event in await _step(exchange, parser, answer):
                    yield event
            await exchange.drain()
        except Broken as broken:
            yield broken.failure.model_copy(update={"message": scrubber.clean(broken.failure.message)})
        finally:
            await exchange.close()

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    def _credential(self) -> str:
        try:
            key = self._key().strip()
        except (Fault, OSError, KeyError) as error:
            told = error.message if isinstance(error, Fault) else "its reference cannot be resolved"
            raise Broken(failures.UNAUTHORIZED.told(f"no credential for the backend: {told}")) from error
        if not key or not key.isascii() or not key.isprintable():
            raise Broken(failures.UNAUTHORIZED.told("the credential is empty or does not fit a header"))
        return key

    def _written(self, request: ModelRequest, key: str, attempt: int) -> Sending:
        try:
            return self._dialect.write(request, key, attempt, Scrubber((key,)))
        except Unbalanced as error:
            raise Broken(failures.UNBALANCED.told(str(error))) from error
        except (ValueError, orjson.JSONEncodeError) as error:
            why = f"the request cannot be written: {error}"
            raise Broken(failures.REQUEST_REJECTED.told(why)) from error

    def _client(self) -> httpx2.AsyncClient:
        if self._opened is None:
            self._opened = httpx2.AsyncClient(
                timeout=httpx2.Timeout(None, connect=self._patience.connect, write=self._patience.idle),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30),
                follow_redirects=False,
                trust_env=not self._own,
            )
        return self._opened


def host_of(entry: ProviderEntry) -> str:
    return urlsplit(entry.base_url or "").hostname or ""


def is_own(entry: ProviderEntry) -> bool:
    """Whether the backend runs on this very machine: no proxy stands before it, and it may want no key."""
    return host_of(entry) in _OWN_HOSTS


def provenance_of(dialect: str, entry: ProviderEntry, model: str) -> Provenance:
    """The account is known by its reference: the same while a key is rotated, and no secret."""
    return Provenance(
        dialect=dialect,
        vendor=host_of(entry),
        account_scope=digest(entry.api_key_ref),
        model_family=model,
    )


def endpoint(entry: ProviderEntry, operation: str, *, place: str) -> str:
    """The URL that is called: the base as it stands, one slash, the operation; a query stays at the end."""
    place = f"{place}.baseURL"
    try:
        parts = urlsplit(entry.base_url or "")
        fits = bool(parts.hostname) and parts.port != 0
        url = parts._replace(path=f"{parts.path.rstrip('/')}/{operation}", fragment="").geturl()
        checked = str(httpx2.URL(url))
    except (ValueError, httpx2.InvalidURL) as error:
        raise InvalidRequest("provider.invalid_entry", f"{place}: {error}", param=place) from error
    if not fits or parts.username or parts.password:
        why = "credentials are references, not parts of a URL" if fits else "it names no host"
        raise InvalidRequest("provider.invalid_entry", f"{place}: {why}", param=place)
    return checked


def headers_of(attempt: int, **own: str) -> dict[str, str]:
    """The retry count is told as the vendors' own clients tell it; `own` are the dialect's, `-` as `_`."""
    return {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "rhone",
        "x-stainless-retry-count": str(attempt - 1),
        **{name.replace("_", "-"): value for name, value in own.items()},
    }


def _rejects_state(event: ModelEvent) -> bool:
    """Nothing was delivered then, and nothing is charged: asked once more without it, the call may go on."""
    return (
        isinstance(event, StreamError) and event.code == failures.REPLAY_REJECTED.code and not event.partial
    )


async def _step(exchange: Exchange, parser: Parser, answer: Answer) -> list[ModelEvent]:
    """One read from the wire and what it means."""
    out: list[ModelEvent] = []
    before = answer.progress
    try:
        chunk = await exchange.read()
        frames = parser.feed(chunk) if chunk is not None else []
        for frame in frames:
            out += answer.take(frame)
        if chunk is None and not answer.over:
            out += answer.last(parser.end())
    except FrameTooLong as error:
        out += answer.broke(failures.PROTOCOL_VIOLATION.told(str(error)))
    except Broken as broken:
        out += answer.broke(broken.failure)
    if answer.progress > before:
        exchange.moved()
    return out


def _unstreamed(raw: bytes, answer: Answer, scrubber: Scrubber) -> list[ModelEvent]:
    """A whole body where a stream was asked for: an answer, an error, or somebody else's page."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return [failures.PROTOCOL_VIOLATION.told(_UNSTREAMED)]
    events = answer.whole(body)
    if events:
        return events
    told = told_by(body)
    if told is not None:
        return [failure_of(told, None, scrubber)]
    return [failures.PROTOCOL_VIOLATION.told(_UNSTREAMED)]
