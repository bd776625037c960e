"""Canonical events as Chat Completions objects: the chunks of a stream, or the whole answer."""

import time
from collections.abc import Iterable

from protocol.model import (
    Finish,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from protocol.noun import JSON, JSONObject
from protocol.usage import Usage

_NATIVE = {"refusal": "stop", "context_overflow": "length", "other": "stop"}


class Writer:
    """One answer: the same id, model and time on every chunk; a call's id and name once."""

    def __init__(self, answer_id: str, model: str) -> None:
        self._head: JSONObject = {"id": answer_id, "created": int(time.time()), "model": model}
        self._spoken = False
        self._calls: dict[int, int] = {}

    def chunks(self, event: ModelEvent, *, counted: bool) -> list[JSONObject]:
        """The chunks of one event; `counted` where the client asked for usage."""
        if isinstance(event, Finish):
            native = _NATIVE.get(event.reason, event.reason)
            out = [self._chunk({}, finish=native) | ({"usage": None} if counted else {})]
            if counted:
                out.append({**self._chunk(None), "usage": usage_object(event.usage)})
            return out
        delta = self._delta(event)
        if delta is None:
            return []
        if not self._spoken:
            self._spoken = True
            delta = {"role": "assistant", "content": None} | delta
        return [self._chunk(delta) | ({"usage": None} if counted else {})]

    def whole(self, events: Iterable[ModelEvent]) -> JSONObject:
        """The answer of a client that did not ask for a stream."""
        texts: dict[str, str] = {}
        calls: list[JSONObject] = []
        finish: Finish | None = None
        for event in events:
            delta = self._delta(event) or {}
            for name in ("content", "reasoning_content", "refusal"):
                if name in delta:
                    texts[name] = texts.get(name, "") + str(delta[name])
            if isinstance(event, ToolCallStart):
                calls.append(_call(event.call_id, event.name))
            elif isinstance(event, ToolCallDelta):
                function = calls[self._calls[event.block]]["function"]
                assert isinstance(function, dict)
                function["arguments"] = f"{function['arguments']}{event.arguments}"
            elif isinstance(event, Finish):
                finish = event
        assert finish is not None
        message: JSONObject = {"role": "assistant", "content": None, "refusal": None, **texts}
        if calls:
            message["tool_calls"] = list[JSON](calls)
        native = _NATIVE.get(finish.reason, finish.reason)
        choice: JSONObject = {"index": 0, "message": message, "finish_reason": native, "logprobs": None}
        usage = usage_object(finish.usage)
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage}

    def _delta(self, event: ModelEvent) -> JSONObject | None:
        if isinstance(event, TextDelta):
            return {"content": event.text}
        if isinstance(event, ReasoningDelta):
            return {"reasoning_content": event.text}
        if isinstance(event, RefusalDelta):
            return {"refusal": event.text}
        if isinstance(event, ToolCallStart):
            index = self._calls[event.block] = len(self._calls)
            return {"tool_calls": [{**_call(event.call_id, event.name), "index": index}]}
        if isinstance(event, ToolCallDelta):
            index = self._calls[event.block]
            return {"tool_calls": [{"index": index, "function": {"arguments": event.arguments}}]}
        return None

    def _chunk(self, delta: JSONObject | None, *, finish: str | None = None) -> JSONObject:
        """Without a delta there is no choice: the chunk that only counts."""
        choice: JSONObject = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        choices: list[JSON] = [] if delta is None else [choice]
        return {**self._head, "object": "chat.completion.chunk", "choices": choices}


def usage_object(usage: Usage) -> JSONObject:
    taken = usage.input_uncached + usage.cache_read + usage.cache_write
    return {
        "prompt_tokens": taken,
        "completion_tokens": usage.output_total,
        "total_tokens": taken + usage.output_total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.output_reasoning},
    }


def _call(call_id: str, name: str) -> JSONObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
