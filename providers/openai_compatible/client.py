"""The `openai-compatible` provider: Chat Completions over HTTP, one request a call, nothing repeated."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from urllib.parse import urlsplit

import httpx2
import orjson

from protocol.block import Provenance
from protocol.config import ProviderEntry
from protocol.digest import digest
from protocol.errors import Fault, InvalidRequest
from protocol.model import ModelEvent, ModelRequest, Notice, StreamError
from protocol.sse import FRAME_LIMIT, FrameTooLong, Parser
from providers import failures
from providers.masked import masked
from providers.openai_compatible.errors import Scrubber, by_response, failure_of, told_by
from providers.openai_compatible.exchange import Broken, Exchange, Patience
from providers.openai_compatible.messages import Unbalanced
from providers.openai_compatible.params import read_params
from providers.openai_compatible.request import Body, SystemLayerRemoved, body_of
from providers.openai_compatible.stream import Answer
from providers.prices import Prices

_ERROR_LIMIT = 64 * 1024
_OWN_HOSTS = {"localhost", "127.0.0.1", "::1"}


class OpenAICompatible:
    """One entry's backend. `key` is asked at every request; the value is kept nowhere."""

    def __init__(
        self,
        entry: ProviderEntry,
        *,
        place: str,
        key: Callable[[], str],
        prices: Prices,
        patience: Patience | None = None,
    ) -> None:
        self._entry = entry
        self._key = key
        self._prices = prices
        self._params = read_params(entry.default_params, place=f"{place}.defaultParams")
        self._url = endpoint(entry.base_url or "", place=f"{place}.baseURL")
        self._host = urlsplit(self._url).hostname or ""
        self._patience = patience or Patience(total=entry.timeout_ms / 1000)
        self._opened: httpx2.AsyncClient | None = None

    async def stream(self, request: ModelRequest, *, attempt: int) -> AsyncGenerator[ModelEvent, None]:
        prepared = self._prepare(request)
        if isinstance(prepared, StreamError):
            yield prepared
            return
        body, key = prepared
        for code, detail in dict(body.notices).items():
            yield Notice(code=code, detail=detail)
        async with aclosing(self._exchange(request, body, key, attempt)) as events:
            async for event in masked(events, key):
                yield event

    async def _exchange(
        self, request: ModelRequest, body: Body, key: str, attempt: int
    ) -> AsyncGenerator[ModelEvent, None]:
        scrubber = Scrubber((key,))
        exchange = Exchange(self._client(), self._patience)
        try:
            response = await exchange.send(self._url, _headers(key, attempt), body.content)
            if not response.is_success:
                raw = await exchange.read_refusal(_ERROR_LIMIT)
                yield by_response(response.status_code, response.headers, raw, scrubber)
                return
            answer = self._answer(request, body, scrubber)
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

    def _prepare(self, request: ModelRequest) -> tuple[Body, str] | StreamError:
        provenance = self._provenance(request.model)
        try:
            body = body_of(
                request, self._params, token_field=self._entry.max_tokens_field, provenance=provenance
            )
        except Unbalanced as error:
            return failures.UNBALANCED.told(str(error))
        except (SystemLayerRemoved, orjson.JSONEncodeError, ValueError) as error:
            return failures.REQUEST_REJECTED.told(f"the request cannot be written: {error}")
        try:
            key = self._key().strip()
        except (Fault, OSError, KeyError) as error:
            told = error.message if isinstance(error, Fault) else "its reference cannot be resolved"
            return failures.UNAUTHORIZED.told(f"no credential for the backend: {told}")
        if not key or not key.isascii() or not key.isprintable():
            return failures.UNAUTHORIZED.told("the credential is empty or does not fit a header")
        return body, key

    def _answer(self, request: ModelRequest, body: Body, scrubber: Scrubber) -> Answer:
        return Answer(
            body,
            provenance=self._provenance(request.model),
            scrubber=scrubber,
            cost=lambda usage: self._prices.cost(request.model, usage),
            show_reasoning=self._entry.pass_reasoning_to_loop,
            think_tags=self._entry.think_tags,
        )

    def _provenance(self, model: str) -> Provenance:
        """The account is known by its reference: the same while a key is rotated, and no secret."""
        return Provenance(
            dialect="chat",
            vendor=self._host,
            account_scope=digest(self._entry.api_key_ref),
            model_family=model,
        )

    def _client(self) -> httpx2.AsyncClient:
        if self._opened is None:
            self._opened = httpx2.AsyncClient(
                timeout=httpx2.Timeout(None, connect=self._patience.connect, write=self._patience.idle),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30),
                follow_redirects=False,
                trust_env=self._host not in _OWN_HOSTS,
            )
        return self._opened


def endpoint(base_url: str, *, place: str) -> str:
    """The URL that is called: the base as it stands, one slash, the operation; a query stays at the end."""
    try:
        parts = urlsplit(base_url)
        fits = bool(parts.hostname) and parts.port != 0
        url = parts._replace(path=parts.path.rstrip("/") + "/chat/completions", fragment="").geturl()
        checked = str(httpx2.URL(url))
    except (ValueError, httpx2.InvalidURL) as error:
        raise InvalidRequest("provider.invalid_entry", f"{place}: {error}", param=place) from error
    if not fits or parts.username or parts.password:
        why = "credentials are references, not parts of a URL" if fits else "it names no host"
        raise InvalidRequest("provider.invalid_entry", f"{place}: {why}", param=place)
    return checked


def _headers(key: str, attempt: int) -> dict[str, str]:
    """The retry count is told as the vendors' own clients tell it."""
    return {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "rhone",
        "x-stainless-retry-count": str(attempt - 1),
    }


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
    """A whole body where a stream was asked for: an error, an answer, or somebody else's page."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return [failures.PROTOCOL_VIOLATION.told("the backend answered with something that is not a stream")]
    if isinstance(body, dict) and isinstance(body.get("choices"), list):
        return [*answer.chunk(body), *answer.last(None)]
    told = told_by(body)
    if told is not None:
        return [failure_of(told, None, scrubber)]
    return [failures.PROTOCOL_VIOLATION.told("the backend answered with something that is not a stream")]
