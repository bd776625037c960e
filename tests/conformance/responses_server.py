"""A stand-in for a backend that speaks Responses: a script, played in the wire's own events."""

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
from protocol.usage import Usage
from providers.chat_writer import Writer
from providers.script import Script
from providers.scripted import View, play
from providers.scripted_server import Attempts, Performance


class ItemWriter(Writer):
    """One answer as Responses tells it: each block of ours an item."""

    def __init__(self, answer_id: str, model: str) -> None:
        super().__init__(answer_id, model)
        self._response = {"id": answer_id, "object": "response", "created_at": 1, "model": model}
        self._items: list[dict[str, Any]] = []
        self._at: dict[int, int] = {}
        self._begun = False

    def chunks(self, event: ModelEvent, *, counted: bool) -> list[JSONObject]:
        told = [*self._begin(), *self._told(event)]
        return [{"sequence_number": 0, **one, "type": f"response.{one['type']}"} for one in told]

    def whole(self, events: Iterable[ModelEvent]) -> JSONObject:
        raise NotImplementedError("the adapter always asks for a stream")

    def _begin(self) -> list[Any]:
        if self._begun:
            return []
        self._begun = True
        return [{"type": "created", "response": {**self._response, "status": "in_progress", "output": []}}]

    def _told(self, event: ModelEvent) -> list[Any]:
        match event:
            case TextStart(block=block):
                return self._open(block, {"type": "message", "role": "assistant", "content": []})
            case ReasoningStart(block=block):
                return self._open(block, {"type": "reasoning", "summary": []})
            case ToolCallStart(block=block, call_id=call_id, name=name):
                item = {"type": "function_call", "call_id": call_id, "name": name, "arguments": ""}
                return self._open(block, item)
            case TextDelta(block=block, text=text):
                return [self._about(block, "output_text.delta", content_index=0, delta=text)]
            case ReasoningDelta(block=block, text=text):
                return [self._about(block, "reasoning_summary_text.delta", summary_index=0, delta=text)]
            case ToolCallDelta(block=block, arguments=arguments):
                return [self._about(block, "function_call_arguments.delta", delta=arguments)]
            case RefusalDelta(block=block, text=text):
                opened = block not in self._at
                first = (
                    self._open(block, {"type": "message", "role": "assistant", "content": []})
                    if opened
                    else []
                )
                return [*first, self._about(block, "refusal.delta", content_index=0, delta=text)]
            case TextEnd(block=block, text=text):
                part = {"type": "output_text", "text": text, "annotations": []}
                return [self._done(block, content=[part], status="completed")]
            case ReasoningEnd(block=block, text=text):
                summary = [{"type": "summary_text", "text": text}]
                return [self._done(block, summary=summary, encrypted_content="gAAA")]
            case ToolCallEnd(block=block, arguments_raw=raw, arguments_state=state):
                status = "incomplete" if state == "truncated" else "completed"
                return [self._done(block, arguments=raw, status=status)]
            case Finish(reason=reason, usage=usage):
                cut = reason == "length"
                status = "incomplete" if cut else "completed"
                ended = {**self._response, "status": status, "output": self._items, "usage": _counts(usage)}
                ended["incomplete_details"] = {"reason": "max_output_tokens"} if cut else None
                return [{"type": status, "response": ended}]
            case _:
                return []

    def _open(self, block: int, item: dict[str, Any]) -> list[Any]:
        at = self._at[block] = len(self._items)
        self._items.append({"id": f"item_{at}", **item})
        return [{"type": "output_item.added", "output_index": at, "item": self._items[at]}]

    def _about(self, block: int, kind: str, **fields: Any) -> dict[str, Any]:
        at = self._at[block]
        return {"type": kind, "item_id": f"item_{at}", "output_index": at, **fields}

    def _done(self, block: int, **fields: Any) -> dict[str, Any]:
        at = self._at[block]
        self._items[at] |= fields
        return {"type": "output_item.done", "output_index": at, "item": self._items[at]}


def app(script: Script) -> Starlette:
    attempts = Attempts()

    async def respond(request: Request) -> Response:
        raw = await request.body()
        body: Any = await request.json()
        model, view = body["model"], view_of(body["input"])
        scenario = script.scenario(model, view.first_input)
        turn = None if scenario is None else scenario.turn(view.turns)
        if scenario is None or turn is None:
            error = {"message": "the script has no such turn", "type": "invalid_request_error"}
            return JSONResponse({"error": error}, status_code=400)
        attempt = attempts.count(request.headers.get("x-stainless-retry-count"), raw)
        played = play(scenario, turn, view, attempt=attempt)
        return Performance(played, ItemWriter(f"resp_{view.turns}", model), streamed=True, counted=True)

    return Starlette(routes=[Route("/v1/responses", respond, methods=["POST"])])


def view_of(items: list[dict[str, Any]]) -> View:
    inputs = [str(item["content"]) for item in items if item.get("role") == "user"]
    results = [str(item["output"]) for item in items if item["type"].endswith("_output")]
    speaks = [
        item["type"] in ("reasoning", "function_call") or item.get("role") == "assistant" for item in items
    ]
    turns = sum(one and not before for before, one in zip([False, *speaks], speaks, strict=False))
    return View(inputs[0], inputs[-1], results[-1] if results else "", turns, len(str(items)))


def _counts(usage: Usage) -> dict[str, Any]:
    taken = usage.input_uncached + usage.cache_read + usage.cache_write
    return {
        "input_tokens": taken,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.output_reasoning},
        "total_tokens": usage.total,
    }
