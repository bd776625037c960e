"""A stand-in for a backend that speaks Messages: a script, played in the wire's own events."""

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
    ReasoningEnd,
    ReasoningStart,
    RefusalDelta,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from protocol.noun import JSONObject
from providers.chat_writer import Writer
from providers.script import Script
from providers.scripted import View, play
from providers.scripted_server import Attempts, Performance

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class BlockWriter(Writer):
    """One answer as Messages tells it; a refusal is text that ends in one."""

    def __init__(self, answer_id: str, model: str) -> None:
        super().__init__(answer_id, model)
        self._message: JSONObject = {"id": answer_id, "type": "message", "role": "assistant", "model": model}
        self._begun = False
        self._refusing = False

    def chunks(self, event: ModelEvent, *, counted: bool) -> list[JSONObject]:
        start: JSONObject = {"type": "message_start", "message": {**self._message, "content": []}}
        begun, self._begun = self._begun, True
        return [*([] if begun else [start]), *self._told(event)]

    def whole(self, events: Iterable[ModelEvent]) -> JSONObject:
        raise NotImplementedError("the adapter always asks for a stream")

    def _told(self, event: ModelEvent) -> list[Any]:
        match event:
            case TextStart(block=block):
                return [_opened(block, type="text", text="")]
            case ReasoningStart(block=block):
                return [_opened(block, type="thinking", thinking="", signature="")]
            case ToolCallStart(block=block, call_id=call_id, name=name):
                return [_opened(block, type="tool_use", id=call_id, name=name, input={})]
            case TextDelta(block=block, text=text):
                return [_delta(block, "text_delta", text)]
            case ReasoningDelta(block=block, text=text):
                return [_delta(block, "thinking_delta", text)]
            case ToolCallDelta(block=block, arguments=arguments):
                return [_delta(block, "input_json_delta", arguments)]
            case RefusalDelta(block=block, text=text):
                first = [] if self._refusing else [_opened(block, type="text", text="")]
                self._refusing = True
                return [*first, _delta(block, "text_delta", text)]
            case ReasoningEnd(block=block):
                signed = {"type": "signature_delta", "signature": "c2ln"}
                return [{"type": "content_block_delta", "index": block, "delta": signed}, _closed(block)]
            case TextEnd(block=block) | ToolCallEnd(block=block):
                return [_closed(block)]
            case Finish(reason=reason, usage=usage):
                counts = {
                    "input_tokens": usage.input_uncached,
                    "cache_read_input_tokens": usage.cache_read,
                    "cache_creation_input_tokens": usage.cache_write,
                    "output_tokens": usage.output_total,
                    "output_tokens_details": {"thinking_tokens": usage.output_reasoning},
                }
                ended = {"stop_reason": _REASONS.get(reason, reason), "stop_sequence": None}
                return [{"type": "message_delta", "delta": ended, "usage": counts}, {"type": "message_stop"}]
            case _:
                return []


def app(script: Script) -> Starlette:
    attempts = Attempts()

    async def respond(request: Request) -> Response:
        raw = await request.body()
        body: Any = await request.json()
        model, view = body["model"], view_of(body["messages"])
        scenario = script.scenario(model, view.first_input)
        turn = None if scenario is None else scenario.turn(view.turns)
        if scenario is None or turn is None:
            error = {"message": "the script has no such turn", "type": "invalid_request_error"}
            return JSONResponse({"type": "error", "error": error}, status_code=400)
        attempt = attempts.count(request.headers.get("x-stainless-retry-count"), raw)
        played = play(scenario, turn, view, attempt=attempt)
        return Performance(played, BlockWriter(f"msg_{view.turns}", model), streamed=True, counted=True)

    return Starlette(routes=[Route("/v1/messages", respond, methods=["POST"])])


def view_of(messages: list[dict[str, Any]]) -> View:
    heard = [block for one in messages if one["role"] == "user" for block in one["content"]]
    inputs = [str(block["text"]) for block in heard if block["type"] == "text"]
    results = [str(block.get("content", "")) for block in heard if block["type"] == "tool_result"]
    turns = sum(one["role"] == "assistant" for one in messages)
    return View(inputs[0], inputs[-1], results[-1] if results else "", turns, len(str(messages)))


def _opened(block: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": block, "content_block": content}


def _delta(block: int, kind: str, text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": block, "delta": {"type": kind, _FIELDS[kind]: text}}


def _closed(block: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": block}
