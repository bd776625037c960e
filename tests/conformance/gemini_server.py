"""A stand-in for a backend that speaks generateContent: a script, played in the wire's own chunks."""

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from protocol.model import (
    Finish,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from protocol.noun import JSONObject
from providers.chat_writer import Writer
from providers.script import Script
from providers.scripted import View, play
from providers.scripted_server import Attempts, Performance

_REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "refusal": "PROHIBITED_CONTENT"}


class PartWriter(Writer):
    """One answer as generateContent tells it: a call comes whole, and is cut where it does not parse."""

    def __init__(self, answer_id: str, model: str) -> None:
        super().__init__(answer_id, model)
        self._head = {"responseId": answer_id, "modelVersion": model}
        self._heard: dict[int, str] = {}

    def chunks(self, event: ModelEvent, *, counted: bool) -> list[JSONObject]:
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                return [self._answer({"text": text})]
            case ReasoningDelta(text=text):
                return [self._answer({"text": text, "thought": True})]
            case ToolCallStart(block=block, call_id=call_id, name=name):
                self._heard[block] = ""
                return [self._answer({"functionCall": {"id": call_id, "name": name, "willContinue": True}})]
            case ToolCallDelta(block=block, arguments=arguments):
                self._heard[block] += arguments
                return []
            case ToolCallEnd(block=block, call_id=call_id, arguments_state=state, arguments=arguments):
                if state == "truncated":
                    return []
                args: Any = arguments if state == "ok" else self._heard[block]
                return [self._answer({"functionCall": {"id": call_id, "args": args}})]
            case Finish(reason=reason, usage=usage):
                counts: Any = {
                    "promptTokenCount": usage.input_uncached + usage.cache_read,
                    "cachedContentTokenCount": usage.cache_read,
                    "candidatesTokenCount": usage.output_total - usage.output_reasoning,
                    "thoughtsTokenCount": usage.output_reasoning,
                }
                end: Any = {"index": 0, "finishReason": _REASONS.get(reason, reason)}
                return [{**self._head, "candidates": [end], "usageMetadata": counts}]
            case _:
                return []

    def whole(self, events: Iterable[ModelEvent]) -> JSONObject:
        raise NotImplementedError("the adapter always asks for a stream")

    def _answer(self, part: Any) -> JSONObject:
        content: Any = {"role": "model", "parts": [part]}
        return {**self._head, "candidates": [{"index": 0, "content": content}]}


def app(script: Script) -> Starlette:
    attempts = Attempts()

    async def respond(request: Request) -> Response:
        raw = await request.body()
        body: Any = await request.json()
        model, view = request.path_params["model"], view_of(body["contents"])
        scenario = script.scenario(model, view.first_input)
        turn = None if scenario is None else scenario.turn(view.turns)
        if scenario is None or turn is None:
            error = {"code": 400, "message": "the script has no such turn", "status": "INVALID_ARGUMENT"}
            return JSONResponse({"error": error}, status_code=400)
        attempt = attempts.count(request.headers.get("x-stainless-retry-count"), raw)
        played = play(scenario, turn, view, attempt=attempt)
        return Performance(played, PartWriter(f"r{view.turns}", model), streamed=True, counted=True)

    path = "/v1beta/models/{model}:streamGenerateContent"
    return Starlette(routes=[Route(path, respond, methods=["POST"])])


def view_of(contents: list[dict[str, Any]]) -> View:
    heard = [part for one in contents if one["role"] == "user" for part in one["parts"]]
    inputs = [str(part["text"]) for part in heard if "text" in part]
    results = [str(part["functionResponse"]["response"]["output"]) for part in heard if "text" not in part]
    turns = sum(one["role"] == "model" for one in contents)
    return View(inputs[0], inputs[-1], results[-1] if results else "", turns, len(str(contents)))
