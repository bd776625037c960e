"""Words for the tests of what is sent to a Messages API: a history, and the body that it becomes."""

import json
from typing import Any

from protocol.block import Block, Opaque, Provenance, SystemBlock, TextPart, ThinkingBlock
from protocol.model import ModelRequest
from providers.anthropic.params import read_params
from providers.anthropic.request import Body, body_of
from tests.conformance.provider_suite import request, said
from tests.unit.providers.anthropic.wire import MODEL, WHERE
from tests.unit.providers.test_chat_requests import common

OLD, NEW, ALWAYS = "claude-sonnet-4-5", "claude-opus-5", "claude-opus-5-5"


def asked(*blocks: Block, model: str = MODEL, **fields: Any) -> ModelRequest:
    return request(*(blocks or (said("go"),)), model=model).model_copy(update=fields)


def written(asked_: ModelRequest, params: dict[str, Any] | None = None, *, shown: bool = False) -> Body:
    read = read_params(params or {}, place="p")
    where = WHERE.model_copy(update={"model_family": asked_.model})
    return body_of(asked_, read, provenance=where, shown=shown)


def body(asked_: ModelRequest, params: dict[str, Any] | None = None, *, shown: bool = False) -> Any:
    return json.loads(written(asked_, params, shown=shown).content)


def messages(*blocks: Block, model: str = MODEL) -> list[dict[str, Any]]:
    return body(asked(*blocks, model=model))["messages"]


def thought(*payloads: dict[str, Any], where: Provenance = WHERE) -> ThinkingBlock:
    states = tuple(Opaque(provenance=where, payload=payload) for payload in payloads)
    return ThinkingBlock(content=(TextPart(text="hm"),), opaque=states, **common())


def ordered(told: str) -> SystemBlock:
    return SystemBlock(content=(TextPart(text=told),), **common())


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "sig=="}
