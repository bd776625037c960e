"""A stand-in for a paid backend: serves a script over Chat Completions to any client that speaks it.

`python -m providers.scripted_server FILE --port 9000`, then `baseURL = "http://127.0.0.1:9000/v1"`.
"""

import argparse
import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from protocol.errors import Refused
from protocol.model import ModelEvent
from protocol.noun import JSON, JSONObject
from providers.chat_writer import Writer
from providers.script import Fault, Script, read_script
from providers.scripted import Pause, Played, View, play

_REMEMBERED = 4096
_STATUS_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Attempts:
    """Which try a request is: by the retry count it tells, else by how often its body was seen."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def count(self, told: str | None, body: bytes) -> int:
        if told is not None and told.isdecimal():
            return int(told) + 1
        key = hashlib.sha256(body).digest()
        self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return self._seen[key]


class Performance(Response):
    """One turn played to one client: with its pauses, up to its end or its fault."""

    def __init__(self, played: Iterator[Played], writer: Writer, *, streamed: bool, counted: bool) -> None:
        super().__init__()
        self._played = played
        self._writer = writer
        self._streamed = streamed
        self._counted = counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive))
        try:
            if self._streamed:
                await self._stream(scope, receive, send, gone)
            else:
                await self._whole(scope, receive, send, gone)
        finally:
            gone.cancel()

    async def _stream(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Task[None]) -> None:
        begun = False
        for played in self._played:
            if isinstance(played, Pause):
                await asyncio.wait({gone}, timeout=played.seconds)
            elif isinstance(played, Fault) and not begun and played.fault.startswith("error:"):
                await _fault_response(played)(scope, receive, send)
                return
            else:
                if not begun:
                    begun = True
                    await send(_head())
                if isinstance(played, Fault):
                    await self._fail(played, send, gone)
                    return
                for chunk in self._writer.chunks(played, counted=self._counted):
                    await send(_frame(orjson.dumps(chunk)))
            if gone.done():
                return
        await send(_frame(b"[DONE]"))
        await send({"type": "http.response.body", "body": b""})

    async def _fail(self, fault: Fault, send: Send, gone: asyncio.Task[None]) -> None:
        """Returning without the last body message makes the server cut the connection."""
        if fault.fault == "hang":
            await gone
        elif fault.fault == "garbage":
            await send(_frame(b"error: this is not JSON"))
        elif fault.fault != "cut":
            await send(_frame(orjson.dumps(_error_object(fault))))
            await send({"type": "http.response.body", "body": b""})

    async def _whole(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Task[None]) -> None:
        events: list[ModelEvent] = []
        for played in self._played:
            if isinstance(played, Pause):
                await asyncio.wait({gone}, timeout=played.seconds)
            elif not isinstance(played, Fault):
                events.append(played)
            elif played.fault.startswith("error:"):
                await _fault_response(played)(scope, receive, send)
                return
            elif played.fault == "garbage":
                await Response("error: this is not JSON", media_type="application/json")(scope, receive, send)
                return
            else:
                await (gone if played.fault == "hang" else send(_head()))
                return
        await JSONResponse(self._writer.whole(events))(scope, receive, send)


def app(script: Script) -> Starlette:
    """The backend as an ASGI application; any credential is good."""
    attempts = Attempts()

    async def complete(request: Request) -> Response:
        raw = await request.body()
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return _refused(f"the body is not JSON: {error}")
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list):
            return _refused("messages is missing")
        model, view = str(body.get("model")), view_of(messages)
        scenario = script.scenario(model, view.first_input)
        turn = None if scenario is None else scenario.turn(view.turns)
        if scenario is None or turn is None:
            return _refused(f"the script has no turn {view.turns} for model {model!r} and this input")
        attempt = attempts.count(request.headers.get("x-stainless-retry-count"), raw)
        options = body.get("stream_options")
        return Performance(
            play(scenario, turn, view, attempt=attempt),
            Writer(f"chatcmpl-scripted-{view.turns}", model),
            streamed=body.get("stream") is True,
            counted=isinstance(options, dict) and options.get("include_usage") is True,
        )

    async def models(request: Request) -> Response:
        names = sorted({name for one in script.scenarios for name in one.models} or {"scripted"})
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": "script"} for name in names]
        return JSONResponse({"object": "list", "data": entries})

    routes: list[Route] = []
    for root in ("/v1", ""):
        routes.append(Route(f"{root}/chat/completions", complete, methods=["POST"]))
        routes.append(Route(f"{root}/models", models, methods=["GET"]))
    return Starlette(routes=routes)


def view_of(messages: list[JSON]) -> View:
    """The same look at a conversation as the provider's, over the wire's messages."""
    first: str | None = None
    last = result = ""
    turns, chars, answering = 0, 0, False
    for message in messages:
        if not isinstance(message, dict):
            continue
        text, role = _text(message.get("content")), message.get("role")
        chars += len(text)
        if role == "user":
            last = text
            first = text if first is None else first
        elif role == "tool":
            result = text
        turns += role == "assistant" and not answering
        answering = role == "assistant"
    return View(first or "", last, result, turns, chars)


def _text(content: JSON) -> str:
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head() -> dict[str, object]:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _frame(data: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True}


def _error_object(fault: Fault) -> JSONObject:
    status = int(fault.fault.partition(":")[2])
    kind = _STATUS_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": f"scripted status {status}", "type": kind, "param": None, "code": status}}


def _fault_response(fault: Fault) -> Response:
    status = int(fault.fault.partition(":")[2])
    headers = {} if fault.retry_after_ms is None else {"retry-after-ms": str(fault.retry_after_ms)}
    return JSONResponse(_error_object(fault), status_code=status, headers=headers)


def _refused(message: str) -> Response:
    error: JSONObject = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status_code=400)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m providers.scripted_server", description=__doc__)
    parser.add_argument("script", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    arguments = parser.parse_args()
    try:
        script = read_script(arguments.script)
    except Refused as refused:
        parser.error(refused.message)
    uvicorn.run(app(script), host=arguments.host, port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
