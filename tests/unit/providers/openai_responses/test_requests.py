"""What is sent to Responses: whole items, the same bytes each time, nothing foreign."""

import json
from typing import Any

import pytest

from protocol.block import (
    AudioPart,
    Block,
    DocumentPart,
    ImagePart,
    InputBlock,
    Opaque,
    Part,
    ResponseBlock,
    Source,
    SystemBlock,
    TextPart,
)
from protocol.model import CallParams, ModelRequest, ToolChoice
from providers.history import Unbalanced
from providers.openai_responses.strict import is_strict
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import KEY
from tests.unit.providers.loopback import Backend
from tests.unit.providers.openai_responses.frames import (
    CREATED,
    WHERE,
    ask,
    body,
    called,
    common,
    ended,
    event,
    items,
    response,
    result,
    thinking,
    thought,
    words,
)

PIXEL = ImagePart(source=Source(type="base64", media_type="image/png", data="aGk="))


def answered(text: str, *opaque: Opaque) -> ResponseBlock:
    return ResponseBlock(content=(TextPart(text=text),), opaque=opaque, **common())


def state(item: Any, **where: Any) -> Opaque:
    return Opaque(provenance=WHERE.model_copy(update=where), payload=item)


def changed(**fields: Any) -> ModelRequest:
    return request(said("hi")).model_copy(update=fields)


async def test_the_whole_request(backend: Backend) -> None:
    backend.answer(CREATED + words("ok") + ended())
    asked = changed(max_output_tokens=9, cache_key="sess_1", parallel_tools=False)
    heard = await ask(backend, asked, default_params={"temperature": 0.5, "reasoningEffort": "low"})
    assert heard.text == "ok"
    [one] = backend.asked
    alias = one.body["tools"][1]["name"]
    assert one.body == {
        "model": "m1",
        "temperature": 0.5,
        "store": False,
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 9,
        "stream": True,
        "prompt_cache_key": "sess_1",
        "parallel_tool_calls": False,
        "tools": [
            {
                "type": "function",
                "name": name,
                "description": told,
                "parameters": {"type": "object"},
                "strict": False,
            }
            for name, told in (("bash", "bash"), (alias, "fs.read/file"))
        ],
        "instructions": "Be brief.",
        "input": [{"type": "message", "role": "user", "content": "hi"}],
    }
    assert (one.path, one.headers["authorization"]) == ("/v1/responses", f"Bearer {KEY}")
    assert one.headers["x-stainless-retry-count"] == "0"


async def test_two_turns_share_all_bytes_up_to_the_new_item(backend: Backend) -> None:
    backend.answer(CREATED + words("ok") + ended())
    first: list[Block] = [said("hi")]
    more = [
        thinking(state(thought("x"))),
        called("a", arguments={"b": 1, "a": [1.0, "é"]}),
        result("a", "out"),
    ]
    for blocks in (first, [*first, *more, answered("done")], [*first, *more, answered("done"), said("next")]):
        await ask(backend, request(*blocks))
    short, long, longest = (one.raw for one in backend.asked)
    assert long.startswith(short.removesuffix(b"]}"))
    assert longest.startswith(long.removesuffix(b"]}"))
    assert json.loads(long)["input"][2]["arguments"] == '{"a":[1,"é"],"b":1}'


def test_reasoning_goes_back_whole_and_in_its_place() -> None:
    one, two = thought("one"), thought("two", "rs_2", content=None, status="completed")
    history = [
        said("go"),
        thinking(state(one)),
        answered("Looking."),
        thinking(state(two)),
        called("a"),
        result("a", "out"),
    ]
    wire = items(*history)
    assert [item["type"] for item in wire] == [
        *("message", "reasoning", "message", "reasoning", "function_call", "function_call_output")
    ]
    assert (wire[1], wire[3]) == (one, two)
    assert items(*history, said("and"))[:-1] == wire, "what was said stays as it is: the prefix is cached"


@pytest.mark.parametrize(
    "other",
    [{"vendor": "h"}, {"account_scope": "sha256:0"}, {"model_family": "m2"}, {"dialect": "anthropic"}],
)
async def test_state_of_another_maker_stays_here_and_its_call_goes(
    backend: Backend, other: dict[str, str]
) -> None:
    backend.answer(CREATED + words("ok") + ended())
    history = [said("go"), thinking(state(thought("x"), **other)), called("a"), result("a", "out")]
    heard = await ask(backend, request(*history))
    assert [item["type"] for item in backend.asked[0].body["input"]] == [
        *("message", "function_call", "function_call_output")
    ]
    assert heard.notices == ["opaque_dropped"]


def test_e45_reasoning_without_its_content_is_not_sent_by_reference() -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "x"}]}
    opened = {**bare, "content": [{"type": "reasoning_text", "text": "x"}]}
    for item, sent in ((bare, False), ({**bare, "encrypted_content": None}, False), (opened, True)):
        wire = items(said("go"), thinking(state(item)), called("a"), result("a", "ok"))
        assert (item in wire) == sent


def test_e45_the_encrypted_content_is_always_asked_for_once() -> None:
    params = {"include": ["file_search_call.results", "reasoning.encrypted_content"], "logprobs": 2}
    sent = body(request(said("go")), default_params=params)
    assert sent["include"] == [
        *("reasoning.encrypted_content", "file_search_call.results", "message.output_text.logprobs")
    ]
    assert sent["top_logprobs"] == 2


def test_e46_reasoning_that_nothing_followed_is_left_out() -> None:
    wire = items(said("go"), thinking(state(thought("x"))), said("again"))
    assert [item["type"] for item in wire] == ["message", "message"]


async def test_e47_state_that_is_refused_is_left_out_and_asked_again_once(backend: Backend) -> None:
    history = request(said("go"), thinking(state(thought("x"))), called("a"), result("a", "out"))
    error = {"message": "The encrypted content could not be verified.", "code": "invalid_encrypted_content"}
    backend.answer(
        json.dumps({"error": error}).encode(), status="400 X", headers=[("content-type", "application/json")]
    )
    heard = await ask(backend, history)
    assert (heard.error.code, heard.error.retryable) == ("provider.replay_state_rejected", False)
    kinds = [[item["type"] for item in one.body["input"]] for one in backend.asked]
    assert kinds == [
        ["message", "reasoning", "function_call", "function_call_output"],
        ["message", "function_call", "function_call_output"],
    ]
    assert heard.notices == ["opaque_dropped"]
    await ask(backend, request(said("go")))
    assert len(backend.asked) == 3, "there was nothing to leave out"
    backend.answer(CREATED + event("failed", response=response("failed", error=error)))
    assert (await ask(backend, history)).error.code == "provider.replay_state_rejected"
    assert len(backend.asked) == 5, "told inside the stream, it is the same"
    backend.answer(CREATED + words("a") + event("failed", response=response("failed", error=error)))
    assert (await ask(backend, history)).error.partial
    assert len(backend.asked) == 6, "what was delivered is not asked for twice"


def test_e33_outputs_go_out_in_the_order_of_their_calls() -> None:
    history = [said("go"), called("a"), called("b"), result("b", "two"), result("a", "one"), said("next")]
    assert [(item.get("call_id"), item.get("output")) for item in items(*history)][1:5] == [
        *(("a", None), ("b", None), ("a", "one"), ("b", "two"))
    ]


@pytest.mark.parametrize(
    "history",
    [
        [said("go"), called("a")],
        [said("go"), called("a"), result("a", "x"), result("b", "y")],
        [said("go"), called("a"), result("a", "x"), result("a", "y")],
    ],
    ids=["e34", "e35", "e36"],
)
def test_a_history_out_of_balance_is_never_sent(history: list[Block]) -> None:
    with pytest.raises(Unbalanced):
        items(*history)


def test_e36_a_result_after_a_failed_one_takes_its_place() -> None:
    wire = items(said("go"), called("a"), result("a", "cancelled", is_error=True), result("a", "done"))
    assert wire[-1]["output"] == "done"


def test_e37_tools_that_are_gone_are_named_but_not_callable() -> None:
    asked = request(said("go"), called("old"), result("old", "x")).model_copy(update={"tools": ()})
    sent = body(asked)
    assert (sent["tools"][0]["name"], sent["tool_choice"]) == ("bash", "none")
    assert "tools" not in body(changed(tools=()))


def test_arguments_that_did_not_parse_go_back_inside_an_object() -> None:
    broken = called("a", arguments_state="invalid", arguments_raw="{]")
    assert items(said("go"), broken, result("a", "no"))[1]["arguments"] == '{"unparsed_arguments":"{]"}'


def test_e52_an_image_in_a_result_stays_in_the_result() -> None:
    wire = items(said("go"), called("a"), result("a", "see", PIXEL))
    assert wire[-1] == {
        "type": "function_call_output",
        "call_id": "a",
        "output": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
        ],
    }


async def test_each_part_has_its_place_or_is_told_in_words(backend: Backend) -> None:
    def source(kind: Any, **fields: Any) -> Source:
        return Source(type=kind, **fields)

    parts: tuple[Part, ...] = (
        TextPart(text="look"),
        ImagePart(source=source("url", url="https://a/b.png")),
        DocumentPart(source=source("base64", data="aGk=", media_type="application/pdf"), filename="a.pdf"),
        DocumentPart(source=source("url", url="https://a/b.pdf")),
        AudioPart(source=source("base64", data="aGk=", media_type="audio/wav")),
    )
    backend.answer(CREATED + words("ok") + ended())
    heard = await ask(backend, request(InputBlock(content=parts, **common())))
    assert backend.asked[0].body["input"][0]["content"] == [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "https://a/b.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        {"type": "input_file", "file_url": "https://a/b.pdf"},
        {"type": "input_text", "text": "[audio: not shown, this model's interface does not take it]"},
    ]
    assert heard.notices == ["part_dropped"]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_stand_on_their_own_and_later_ones_in_the_list(role: str) -> None:
    later = SystemBlock(content=(TextPart(text="and calm"),), **common())
    sent = body(request(said("hi"), later), default_params={"systemMessageMode": role})
    assert sent["instructions"] == "Be brief."
    assert sent["input"][1] == {"type": "message", "role": role, "content": "and calm"}


def test_instructions_are_not_dropped_silently() -> None:
    with pytest.raises(ValueError, match="would drop the instructions"):
        body(changed(), default_params={"systemMessageMode": "remove"})
    assert "instructions" not in body(
        changed(instructions=""), default_params={"systemMessageMode": "remove"}
    )


async def test_what_a_call_asks_goes_before_the_defaults(backend: Backend) -> None:
    backend.answer(CREATED + words("ok") + ended())
    params = CallParams(
        temperature=0.1, top_p=0.2, top_k=3, seed=4, stop=("x",), presence_penalty=1, reasoning_effort="high",
        reasoning_tokens=9, verbosity="low", service_tier="flex", end_user="u",
    )  # fmt: skip
    defaults = {
        "temperature": 1,
        "reasoningEffort": "low",
        "reasoningSummary": "auto",
        "textVerbosity": "high",
    }
    heard = await ask(backend, changed(params=params), default_params=defaults)
    sent = backend.asked[0].body
    assert (sent["temperature"], sent["top_p"], sent["service_tier"], sent["user"]) == (0.1, 0.2, "flex", "u")
    assert sent["reasoning"] == {"effort": "high", "summary": "auto"}
    assert sent["text"] == {"verbosity": "low"}
    assert heard.notices == ["param_dropped"]
    assert all(name in str(heard.events[0]) for name in ("topK", "seed", "stopSequences", "reasoningTokens"))


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), None),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="none", names=("bash",)), "none"),
        (ToolChoice(mode="required", names=("bash",)), {"type": "function", "name": "bash"}),
        (
            ToolChoice(names=("bash",)),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "bash"}]},
        ),
    ],
)
def test_the_choice_of_tools_leaves_their_list_as_it_is(choice: ToolChoice, sent: Any) -> None:
    wire = body(changed(tool_choice=choice))
    assert (wire.get("tool_choice"), len(wire["tools"])) == (sent, 2)


CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "$schema": "x"}, False),
        ({**CLOSED, "properties": {"a": {"type": ["string", "null"]}}}, True),
        ({**CLOSED, "properties": {"a": {"type": "object"}}}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": CLOSED}}}, True),
        ({**CLOSED, "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        ({**CLOSED, "properties": {"a": {"oneOf": [CLOSED]}}}, False),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": CLOSED}}, True),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "object"}}}, False),
        ({"anyOf": [CLOSED]}, False),
        ({}, False),
    ],
)
def test_e127_only_a_schema_that_strict_mode_takes_is_sent_as_strict(schema: Any, strict: bool) -> None:
    assert is_strict(schema) == strict
    tools = tuple(tool.model_copy(update={"input_schema": schema}) for tool in changed().tools)
    sent = body(changed(tools=tools, json_schema=schema), default_params={"textVerbosity": "low"})
    assert [tool["strict"] for tool in sent["tools"]] == [strict, strict]
    assert sent["text"] == {
        "verbosity": "low",
        "format": {"type": "json_schema", "name": "output", "strict": strict, "schema": schema},
    }
    assert not body(changed(json_schema=schema), default_params={"strictJsonSchema": False})["text"][
        "format"
    ]["strict"]
