"""What is sent: the same bytes each time, every call answered in order, nothing foreign, no secrets."""

import json
from typing import Any

import pytest

from protocol.block import (
    AssetPart,
    AudioPart,
    Block,
    DocumentPart,
    ImagePart,
    InputBlock,
    Part,
    ResponseBlock,
    Source,
    SystemBlock,
    TextPart,
    ToolCallBlock,
    ToolResultBlock,
    VideoPart,
)
from protocol.ids import fresh
from protocol.model import CallParams, ModelRequest, ToolChoice
from tests.conformance.provider_suite import AT, request, said
from tests.unit.providers.chat import DONE, KEY, ask, chunk
from tests.unit.providers.loopback import Asked, Backend

PIXEL = ImagePart(source=Source(type="base64", media_type="image/png", data="aGk="))


def common() -> dict[str, Any]:
    return {"id": fresh("blk_"), "session_id": "sess_x", "created_at": AT}


def called(call_id: str, name: str = "bash", **fields: Any) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call_id, name=name, **({"arguments": {}} | fields), **common())


def result(call_id: str, *parts: Part | str, is_error: bool = False) -> ToolResultBlock:
    content = tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts)
    return ToolResultBlock(tool_call_id=call_id, content=content, is_error=is_error, **common())


def answered(text: str) -> ResponseBlock:
    return ResponseBlock(content=(TextPart(text=text),), **common())


async def sent(backend: Backend, asked: ModelRequest, **fields: Any) -> Asked:
    backend.answer(chunk("stop", content="ok") + DONE)
    heard = await ask(backend, asked, **fields)
    assert heard.text == "ok", heard.terminal
    return backend.asked[-1]


async def messages(backend: Backend, *blocks: Block) -> list[dict[str, Any]]:
    return (await sent(backend, request(*blocks, instructions=""))).body["messages"]


async def test_the_whole_request(backend: Backend) -> None:
    asked = request(said("hi")).model_copy(
        update={"max_output_tokens": 9, "cache_key": "sess_1", "parallel_tools": False}
    )
    one = await sent(backend, asked, default_params={"temperature": 0.5, "stopSequences": ["END"]})
    body = one.body
    alias = body["tools"][1]["function"]["name"]
    assert body == {
        "model": "m1",
        "temperature": 0.5,
        "stop": ["END"],
        "max_completion_tokens": 9,
        "stream": True,
        "stream_options": {"include_usage": True},
        "prompt_cache_key": "sess_1",
        "parallel_tool_calls": False,
        "tools": [
            {
                "type": "function",
                "function": {"name": name, "description": told, "parameters": {"type": "object"}},
            }
            for name, told in (("bash", "bash"), (alias, "fs.read/file"))
        ],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
    }
    assert (one.path, one.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert one.headers["x-stainless-retry-count"] == "0"


async def test_two_turns_share_all_bytes_up_to_the_new_message(backend: Backend) -> None:
    first = [said("hi")]
    second = [*first, called("a", arguments={"b": 1, "a": [1.0, "é"]}), result("a", "out"), answered("done")]
    short = (await sent(backend, request(*first))).raw
    long = (await sent(backend, request(*second))).raw
    assert long.startswith(short.removesuffix(b"]}"))
    assert (await sent(backend, request(*second))).raw == long
    assert json.loads(long)["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"a":[1,"é"],"b":1}'


async def test_the_order_of_keys_in_a_schema_does_not_matter(backend: Backend) -> None:
    def with_schema(schema: dict[str, Any]) -> ModelRequest:
        asked = request(said("hi"))
        tools = tuple(tool.model_copy(update={"input_schema": schema}) for tool in asked.tools)
        return asked.model_copy(update={"tools": tools, "blocks": ()})

    one = await sent(backend, with_schema({"type": "object", "properties": {"b": {}, "a": {}}}))
    other = await sent(backend, with_schema({"properties": {"a": {}, "b": {}}, "type": "object"}))
    assert one.raw == other.raw


async def test_e33_results_go_out_in_the_order_of_their_calls(backend: Backend) -> None:
    wire = await messages(
        backend, said("go"), called("a"), called("b"), result("b", "two"), result("a", "one"), said("next")
    )
    assert [(one["role"], one.get("tool_call_id")) for one in wire] == [
        ("user", None),
        ("assistant", None),
        ("tool", "a"),
        ("tool", "b"),
        ("user", None),
    ]


async def test_results_stand_right_after_their_calls_even_if_input_came_between(backend: Backend) -> None:
    wire = await messages(backend, said("go"), called("a"), said("hurry"), result("a", "one"))
    assert [one["role"] for one in wire] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize(
    ("blocks", "named"),
    [
        ([called("a"), called("b"), result("a", "x")], "'b'"),
        ([called("a"), said("never mind")], "'a'"),
        ([result("z", "x")], "'z'"),
        ([called("a"), result("a", "x"), result("z", "x")], "'z'"),
        ([called("a"), result("a", "x"), result("a", "y")], "'a'"),
        ([called("a"), answered("hm"), said("x"), called("c"), result("a", "x"), result("c", "y")], "'a'"),
    ],
)
async def test_e34_e35_an_unbalanced_history_is_never_sent(
    backend: Backend, blocks: list[Block], named: str
) -> None:
    heard = await ask(backend, request(said("go"), *blocks))
    assert (heard.error.code, heard.error.retryable) == ("provider.unbalanced_history", False)
    assert named in heard.error.message
    assert backend.asked == []


async def test_e36_a_result_that_replaces_a_cancelled_one_counts(backend: Backend) -> None:
    cancelled = result("a", "cancelled", is_error=True)
    wire = await messages(backend, said("go"), called("a"), cancelled, result("a", "done"))
    assert [one["content"] for one in wire if one["role"] == "tool"] == ["done"]


async def test_e37_a_history_with_calls_but_without_tools_brings_uncallable_ones(backend: Backend) -> None:
    asked = request(said("go"), called("a", "grep"), result("a", "x"), instructions="")
    body = (await sent(backend, asked.model_copy(update={"tools": ()}))).body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["grep"]
    assert body["tool_choice"] == "none"
    plain = (await sent(backend, request(said("go")).model_copy(update={"tools": ()}))).body
    assert "tools" not in plain


async def test_e52_an_image_in_a_tool_result_follows_after_all_results(backend: Backend) -> None:
    wire = await messages(
        backend, said("go"), called("a"), called("b"), result("a", "shot", PIXEL), result("b", "x")
    )
    assert wire[2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "shot\n[image: see the next message]"},
        {"role": "tool", "tool_call_id": "b", "content": "x"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "The image of tool result a:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
    ]


async def test_media_go_where_the_wire_has_a_place_for_them(backend: Backend) -> None:
    parts: tuple[Part, ...] = (
        TextPart(text="see"),
        ImagePart(source=Source(type="url", url="https://x.example/a.png")),
        AudioPart(source=Source(type="base64", media_type="audio/mpeg", data="YQ==")),
        DocumentPart(source=Source(type="base64", data="YQ=="), filename="a.pdf"),
    )
    block = InputBlock(content=parts, **common())
    assert (await messages(backend, block))[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,YQ=="}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        VideoPart(source=Source(type="url", url="https://x.example/a.mp4")),
        AssetPart(asset_id="asset_1"),
        AudioPart(source=Source(type="base64", media_type="audio/flac", data="YQ==")),
        ImagePart(source=Source(type="asset", asset_id="asset_1")),
    ],
)
async def test_what_the_wire_cannot_carry_is_said_to_the_model_and_to_us(
    backend: Backend, part: Part
) -> None:
    backend.answer(chunk("stop", content="ok") + DONE)
    heard = await ask(backend, request(InputBlock(content=(part,), **common())))
    assert heard.notices == ["part_dropped"]
    assert "not shown" in backend.asked[0].body["messages"][1]["content"][0]["text"]


async def test_a_call_whose_arguments_did_not_parse_goes_back_as_an_object(backend: Backend) -> None:
    broken = called("a", arguments_state="invalid", arguments_raw='{"x": nope')
    wire = await messages(backend, said("go"), broken, result("a", "not executed", is_error=True))
    function = wire[1]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"unparsed_arguments": '{"x": nope'}


async def test_text_and_calls_of_a_turn_are_one_message(backend: Backend) -> None:
    wire = await messages(
        backend, said("go"), answered("I "), answered("look"), called("a"), result("a", "x"), answered("ok")
    )
    assert wire[1]["content"] == "I look"
    assert [one["role"] for one in wire] == ["user", "assistant", "tool", "assistant"]
    assert (await messages(backend, said("a"), answered(""), said("b")))[1]["content"] == "b"


@pytest.mark.parametrize("mode", ["system", "developer"])
async def test_e101_the_system_layer_has_the_role_of_the_entry(backend: Backend, mode: str) -> None:
    block = SystemBlock(content=(TextPart(text="later"),), **common())
    asked = await sent(
        backend, request(said("go"), block, said("x")), default_params={"systemMessageMode": mode}
    )
    assert [one["role"] for one in asked.body["messages"]] == [mode, "user", mode, "user"]


async def test_instructions_are_never_removed_silently(backend: Backend) -> None:
    params = {"systemMessageMode": "remove"}
    heard = await ask(backend, request(said("go")), default_params=params)
    assert (heard.error.code, backend.asked) == ("provider.request_rejected", [])
    await sent(backend, request(said("go"), instructions=""), default_params=params)


async def test_the_token_limit_goes_into_the_field_of_the_entry(backend: Backend) -> None:
    body = (
        await sent(
            backend,
            request(said("go")),
            default_params={"maxOutputTokens": 5},
            max_tokens_field="max_tokens",
        )
    ).body
    assert (body["max_tokens"], "max_completion_tokens" in body) == (5, False)


CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "params", "strict"),
    [
        (CLOSED, {}, True),
        (CLOSED, {"strictJsonSchema": False}, False),
        ({**CLOSED, "required": []}, {}, False),
        ({**CLOSED, "additionalProperties": True}, {}, False),
        ({"type": "array", "items": {"type": "object"}}, {}, False),
    ],
)
async def test_an_output_schema_is_strict_where_it_can_be(
    backend: Backend, schema: dict[str, Any], params: dict[str, Any], strict: bool
) -> None:
    asked = request(said("go")).model_copy(update={"json_schema": schema})
    body = (await sent(backend, asked, default_params=params)).body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "strict": strict, "schema": schema},
    }


@pytest.mark.parametrize(
    ("suffix", "path"),
    [("", "/v1/chat/completions"), ("/", "/v1/chat/completions"), ("?v=1", "/v1/chat/completions?v=1")],
)
async def test_the_operation_is_appended_to_the_base_url(backend: Backend, suffix: str, path: str) -> None:
    asked = await sent(backend, request(said("go")), base_url=backend.url + suffix)
    assert asked.path == path


async def test_what_a_call_sets_itself_stands_before_the_defaults_of_its_entry(backend: Backend) -> None:
    params = CallParams(temperature=0.5, stop=("END",), reasoning_effort="low", end_user="u1")
    asked = request(said("go")).model_copy(
        update={"params": params, "tool_choice": ToolChoice(mode="required", names=("bash",))}
    )
    body = (await sent(backend, asked, default_params={"temperature": 1.0, "topP": 0.9})).body
    told = {name: body[name] for name in ("temperature", "top_p", "stop", "reasoning_effort", "user")}
    assert told == {
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "reasoning_effort": "low",
        "user": "u1",
    }
    assert (body["tool_choice"], [tool["function"]["name"] for tool in body["tools"]]) == (
        "required",
        ["bash"],
    )


async def test_fields_that_a_backend_refuses_are_left_out(backend: Backend) -> None:
    asked = request(said("go")).model_copy(update={"cache_key": "sess_1"})
    body = (await sent(backend, asked, omit=("prompt_cache_key", "stream_options"))).body
    assert not {"prompt_cache_key", "stream_options"} & set(body)
