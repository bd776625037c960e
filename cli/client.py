"""A thin client of the native API: JSON in and out, and event streams that outlive a broken connection."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, cast

import httpx2
from pydantic import ValidationError

from cli.failure import Failure, Refused, Unreachable
from protocol.errors import ErrorBody
from protocol.event import TERMINAL_EVENTS
from protocol.noun import JSONObject
from protocol.sse import Frame, Parser

_SILENCE = 45.0
"""The gateway sends a comment every 15 s; after three missing ones the connection counts as dead."""

_LONGEST_EVENT = 64 * 1024 * 1024
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 5.0

Query = Mapping[str, str | int | None]
Body = Mapping[str, object]


class _Over(Exception):
    """There is nothing after the event that the client saw last."""


class Client:
    """Talks to one gateway with one key."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        patience: float = 60.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        self._wait = wait
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Reading the trust store takes 0.1 s, which a plain address does not need.
        encrypted = self.url.startswith("https:")
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=30.0, verify=encrypted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> JSONObject:
        return self._json("GET", path, query=query)

    def download(self, path: str) -> bytes:
        """The bytes of an answer that is no JSON."""
        return self._send("GET", path).content

    def post(self, path: str, body: Body | None = None) -> JSONObject:
        """Repeating is safe: every request has an Idempotency-Key of its own."""
        return self._json("POST", path, body=body or {}, headers={"Idempotency-Key": uuid.uuid4().hex})

    def put(self, path: str, body: Body) -> JSONObject:
        return self._json("PUT", path, body=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def items(self, path: str, *, most: int = 50, **query: str | int | None) -> Iterator[JSONObject]:
        """The items of a list, page after page, at most so many."""
        cursor: str | None = None
        while most > 0:
            page = self.get(path, limit=min(most, 200), cursor=cursor, **query)
            items = cast(list[JSONObject], page["items"])
            yield from items[:most]
            most -= len(items)
            cursor = cast(str | None, page.get("next_cursor"))
            if cursor is None:
                return

    def events(self, run_id: str, *, after: int = 0) -> Iterator[JSONObject]:
        """The run's events after a seq, each once and in order, to the terminal one; waits for it."""
        last, pause, since = after, _FIRST_RETRY, time.monotonic()
        while True:
            try:
                for event in self._attempt(run_id, last):
                    seq = cast(int, event["seq"])
                    if seq <= last:
                        continue
                    if seq > last + 1:
                        raise Failure(f"the stream of {run_id} jumps from {last} to {seq}")
                    last, pause, since = seq, _FIRST_RETRY, time.monotonic()
                    yield event
                    if event["type"] in TERMINAL_EVENTS:
                        return
                why = "the stream ended early"
            except _Over:
                return
            except httpx2.TransportError as error:
                why = str(error) or type(error).__name__
            except Refused as refused:
                if refused.status not in (429, 503):
                    raise
                why, pause = refused.message, refused.error.retry_after or pause
            if time.monotonic() - since > self._patience:
                raise Unreachable(self.url, why)
            self._wait(min(pause, _LONGEST_RETRY))
            pause *= 2

    def _attempt(self, run_id: str, after: int) -> Iterator[JSONObject]:
        """The events of one connection."""
        headers = {"Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = str(after)
        timeout = httpx2.Timeout(10.0, read=_SILENCE)
        with self._http.stream(
            "GET", f"/v1/runs/{run_id}/events", headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code == 204:
                raise _Over
            if answer.status_code >= 400:
                answer.read()
                raise refusal(answer)
            parser = Parser(limit=_LONGEST_EVENT)
            for chunk in answer.iter_bytes():
                for frame in parser.feed(chunk):
                    if isinstance(frame, Frame):
                        yield json.loads(frame.data)

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JSONObject:
        answer = self._send(method, path, query=query, body=body, headers=headers)
        return answer.json() if answer.content else {}

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        request = self._http.build_request(method, path, params=asked, json=body, headers=headers or {})
        try:
            try:
                answer = self._http.send(request)
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                # A connection that was kept open may be closed just when it is used again.
                answer = self._http.send(request)
        except httpx2.TransportError as error:
            raise Unreachable(self.url, str(error) or type(error).__name__) from error
        if answer.status_code >= 400:
            raise refusal(answer)
        return answer


def given(**fields: object) -> dict[str, object]:
    """A body of the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def refusal(answer: httpx2.Response) -> Refused:
    """The gateway's error object, or one made up where something else answered."""
    try:
        told: Any = answer.json()
        body = ErrorBody.model_validate(told["error"])
    except (ValueError, KeyError, TypeError, ValidationError):
        message = f"status {answer.status_code} from {answer.request.url}: {answer.text[:200]}"
        body = ErrorBody(type="api_error", code="cli.not_rhone", message=message)
    return Refused(answer.status_code, body)
