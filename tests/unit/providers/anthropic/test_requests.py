"""What is sent to a Messages API: the same bytes each time, what its model takes, what its maker made."""

import json
from typing import Any

import pytest

from protocol.block import (
    AudioPart,
    Block,
    DocumentPart,
    ImagePart,
    InputBlock,
    Part,
    Source,
)
from protocol.model import CallParams, ToolChoice
from providers.anthropic.params import DefaultParams
from providers.anthropic.request import body_of
from tests.conformance.provider_suite import said
from tests.unit.providers.anthropic.history import (
    ALWAYS,
    NEW,
    asked,
    body,
    messages,
    ordered,
    written,
)
from tests.unit.providers.anthropic.wire import (
    MODEL,
    WHERE,
    ask,
    sent,
)
from tests.unit.providers.chat import KEY
from tests.unit.providers.loopback import Backend
from tests.unit.providers.test_chat_requests import PIXEL, answered, called, common, result


async def test_the_whole_request(backend: Backend) -> None:
    whole = asked(max_output_tokens=9, cache_key="sess_1", parallel_tools=False)
    one = await sent(backend, whole, default_params={"temperature": 0.5, "stopSequences": ["END"]})
    alias = one.body["tools"][1]["name"]
    mark = {"cache_control": {"type": "ephemeral"}}
    assert one.body == {
        "model": MODEL,
        "max_tokens": 9,
        "stream": True,
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "tools": [
            {"name": "bash", "description": "bash", "input_schema": {"type": "object"}},
            {"name": alias, "description": "fs.read/file", "input_schema": {"type": "object"}, **mark},
        ],
        "system": [{"type": "text", "text": "Be brief.", **mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "go", **mark}]}],
    }
    assert one.path == "/v1/messages"
    assert one.headers["x-api-key"] == KEY
    assert "authorization" not in one.headers
    assert (one.headers["anthropic-version"], one.headers["x-stainless-retry-count"]) == ("2023-06-01", "0")


async def test_the_version_of_the_entry_goes_into_the_header(backend: Backend) -> None:
    params = {"anthropicVersion": "2026-10-21"}
    assert (await sent(backend, asked(), default_params=params)).headers["anthropic-version"] == "2026-10-21"


def test_two_turns_share_all_bytes_up_to_the_new_message() -> None:
    first = [said("hi")]
    second = [*first, called("a", arguments={"b": 1, "a": [1.0, "é"]}), result("a", "out"), answered("done")]
    short, long = written(asked(*first)).content, written(asked(*second, said("x"))).content
    assert long.startswith(short.removesuffix(b"]}"))
    assert written(asked(*second, said("x"))).content == long
    assert b'"input":{"a":[1,"\xc3\xa9"],"b":1}' in long


def test_the_cache_is_marked_four_times_at_most() -> None:
    history = [said("a"), answered("b"), said("c"), called("x"), result("x", "d"), answered("e"), said("f")]
    wire = body(asked(*history, cache_key="s"))
    assert json.dumps(wire).count("cache_control") == 4
    marked = [one["content"][-1].get("cache_control") for one in wire["messages"] if one["role"] == "user"]
    assert marked == [None, None, {"type": "ephemeral"}, {"type": "ephemeral"}]
    assert "cache_control" not in json.dumps(body(asked(*history)))


def test_e33_all_results_stand_first_in_one_message_in_call_order() -> None:
    wire = messages(
        said("go"), called("a"), called("b"), said("hurry"), result("b", "two"), result("a", "one"), said("x")
    )
    assert [one["role"] for one in wire] == ["user", "assistant", "user"]
    assert wire[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
        {"type": "tool_result", "tool_use_id": "b", "content": "two"},
        {"type": "text", "text": "hurry"},
        {"type": "text", "text": "x"},
    ]


@pytest.mark.parametrize(
    "blocks", [[called("a")], [result("z", "x")], [called("a"), result("a", "x"), result("a", "y")]]
)
async def test_e34_e35_e36_an_unbalanced_history_is_never_sent(backend: Backend, blocks: list[Block]) -> None:
    heard = await ask(backend, asked(said("go"), *blocks))
    assert (heard.error.code, backend.asked) == ("provider.unbalanced_history", [])


def test_e37_a_history_with_calls_but_without_tools_brings_uncallable_ones() -> None:
    wire = body(asked(said("go"), called("a", "grep"), result("a", "x"), tools=()))
    assert ([tool["name"] for tool in wire["tools"]], wire["tool_choice"]) == (["grep"], {"type": "none"})
    assert "tools" not in body(asked(tools=()))


def test_e52_images_and_documents_stand_inside_their_result() -> None:
    page = DocumentPart(source=Source(type="base64", data="YQ=="), filename="a.pdf")
    wire = messages(said("go"), called("a"), result("a", "shot", PIXEL, page, is_error=True))
    assert wire[2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [
                {"type": "text", "text": "shot"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "YQ=="},
                    "title": "a.pdf",
                },
            ],
            "is_error": True,
        }
    ]


def test_media_go_where_the_wire_has_a_place_for_them() -> None:
    parts: tuple[Part, ...] = (
        ImagePart(source=Source(type="url", url="https://x.example/a.png")),
        DocumentPart(source=Source(type="url", url="https://x.example/a.pdf")),
        DocumentPart(source=Source(type="base64", media_type="text/plain", data="aGk=")),
    )
    assert messages(InputBlock(content=parts, **common()))[0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        AudioPart(source=Source(type="base64", media_type="audio/wav", data="YQ==")),
        ImagePart(source=Source(type="base64", media_type="image/bmp", data="YQ==")),
        ImagePart(source=Source(type="asset", asset_id="asset_1")),
        DocumentPart(source=Source(type="base64", media_type="application/zip", data="YQ==")),
        DocumentPart(source=Source(type="base64", media_type="text/plain", data="/w==")),
    ],
)
def test_what_the_wire_cannot_carry_is_said_to_the_model_and_to_us(part: Part) -> None:
    made = written(asked(InputBlock(content=(part,), **common())))
    assert list(made.notices) == ["part_dropped"]
    assert "not shown" in json.loads(made.content)["messages"][0]["content"][0]["text"]


def test_e104_text_of_blanks_is_left_out() -> None:
    assert messages(said("a"), answered(" \n"), said("b")) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    ]
    assert messages(said("a"), answered("so \n"))[1]["content"] == [{"type": "text", "text": "so"}]
    silent = messages(said("a"), called("x"), result("x", "", is_error=True))[2]["content"][0]
    assert silent["content"] == "[no output]"


def test_a_history_that_does_not_begin_with_a_user_gets_one() -> None:
    assert [one["role"] for one in messages(answered("a"), said("b"))] == ["user", "assistant", "user"]
    assert [one["role"] for one in body(asked().model_copy(update={"blocks": ()}))["messages"]] == ["user"]


def test_ids_that_the_wire_does_not_take_travel_under_an_alias() -> None:
    wire = messages(said("go"), called("functions.bash:0"), result("functions.bash:0", "x"))
    used, given = wire[1]["content"][0]["id"], wire[2]["content"][0]["tool_use_id"]
    assert used == given
    assert set(":.").isdisjoint(used)


def test_a_call_whose_arguments_did_not_parse_goes_back_as_an_object() -> None:
    broken = called("a", arguments_state="invalid", arguments_raw='{"x": nope')
    wire = messages(said("go"), broken, result("a", "no", is_error=True))
    assert wire[1]["content"][0]["input"] == {"unparsed_arguments": '{"x": nope'}


def test_e102_system_text_stands_in_the_list_where_its_model_allows_it() -> None:
    blocks = [said("go"), ordered("now"), answered("ok"), said("x"), ordered("then")]
    assert [one["role"] for one in messages(*blocks, model=NEW)] == [
        "user",
        "system",
        "assistant",
        "user",
        "system",
    ]
    made = written(asked(*blocks))
    folded = json.loads(made.content)["messages"]
    assert [one["role"] for one in folded] == ["user", "assistant", "user"]
    assert folded[0]["content"][1]["text"] == "<system-message>\nnow\n</system-message>"
    assert list(made.notices) == ["system_folded"]
    forced = body(asked(*blocks), {"systemMessageMode": "system"})["messages"]
    assert [one["role"] for one in forced][:2] == ["user", "system"]


def test_system_text_never_stands_where_it_would_be_refused() -> None:
    first = body(asked(ordered("first"), answered("hm"), said("go"), model=NEW))
    assert [block["text"] for block in first["system"]] == ["Be brief.", "first"]
    after = messages(said("go"), answered("a"), ordered("b"), answered("c"), said("x"), model=NEW)
    assert [one["role"] for one in after] == ["user", "assistant", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        (ALWAYS, 128_000),
        ("claude-sonnet-4-5-20250929", 64_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-3-7-sonnet-latest", 64_000),
        ("claude-3-5-sonnet-20241022", 8192),
        ("claude-3-haiku-20240307", 4096),
        ("anthropic.claude-opus-4-7-v1:0", 128_000),
        ("claude-mythos-preview", 128_000),
        ("glm-4.6", 8192),
    ],
)
def test_the_output_limit_is_the_calls_the_entrys_or_the_models(model: str, limit: int) -> None:
    assert body(asked(model=model))["max_tokens"] == limit
    assert body(asked(model=model), {"maxOutputTokens": 77})["max_tokens"] == 77
    assert body(asked(model=model, max_output_tokens=5), {"maxOutputTokens": 77})["max_tokens"] == 5


@pytest.mark.parametrize(
    ("model", "params", "call", "kept"),
    [
        (MODEL, {"temperature": 0.1, "topK": 3}, {"temperature": 1.5}, {"temperature": 1, "top_k": 3}),
        (MODEL, {}, {"temperature": 0.0, "top_p": 0.5}, {"temperature": 0}),
        (MODEL, {}, {"top_p": 0.5}, {"top_p": 0.5}),
        (MODEL, {}, {"top_p": 0.5, "reasoning_effort": "low"}, {}),
        (NEW, {"temperature": 0.1}, {"top_k": 4}, {}),
        (MODEL, {"temperature": 0.1, "anthropicVersion": "2026-10-21"}, {}, {}),
    ],
)
def test_e108_sampling_goes_along_where_model_and_version_take_it(
    model: str, params: dict[str, Any], call: dict[str, Any], kept: dict[str, Any]
) -> None:
    made = written(asked(model=model, params=CallParams(**call)), params)
    wire = json.loads(made.content)
    assert {name: wire[name] for name in ("temperature", "top_p", "top_k") if name in wire} == kept
    dropped = len(kept) < len(
        {"top_k" if name == "topK" else name for name in (*params, *call)}
        - {"anthropicVersion", "reasoning_effort"}
    )
    assert ("param_dropped" in made.notices) == dropped


def test_what_has_no_place_is_named_all_at_once() -> None:
    call = CallParams(
        seed=1, presence_penalty=1, verbosity="low", stop=("END", " "), service_tier="flex", end_user="u"
    )
    made = written(asked(params=call))
    wire = json.loads(made.content)
    assert (wire["stop_sequences"], wire["metadata"]) == (["END"], {"user_id": "u"})
    for name in ("seed", "presence_penalty", "verbosity", "blanks", "flex"):
        assert name in made.notices["param_dropped"]


def test_every_parameter_has_its_wire_name() -> None:
    given = {
        "serviceTier": "standard_only",
        "speed": "fast",
        "inferenceGeo": "eu",
        "metadata": {"userId": "u"},
        "disableParallelToolUse": True,
        "toolStreaming": True,
        "effort": "xhigh",
    }
    wire = body(asked(model=NEW), given)
    assert (wire["service_tier"], wire["speed"], wire["inference_geo"]) == ("standard_only", "fast", "eu")
    assert (wire["metadata"], wire["output_config"]) == ({"user_id": "u"}, {"effort": "xhigh"})
    assert wire["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert all(tool["eager_input_streaming"] for tool in wire["tools"])
    assert body(asked(params=CallParams(service_tier="auto")), given)["service_tier"] == "auto"


@pytest.mark.parametrize(
    ("choice", "wire", "names"),
    [
        (ToolChoice(), None, 2),
        (ToolChoice(mode="none"), {"type": "none"}, 2),
        (ToolChoice(mode="required"), {"type": "any"}, 2),
        (ToolChoice(mode="required", names=("bash",)), {"type": "tool", "name": "bash"}, 1),
        (ToolChoice(names=("bash",)), None, 1),
    ],
)
def test_tool_choice_has_its_wire_form(choice: ToolChoice, wire: Any, names: int) -> None:
    made = body(asked(tool_choice=choice))
    assert (made.get("tool_choice"), len(made["tools"])) == (wire, names)


def test_e128_a_tool_without_a_schema_takes_an_object() -> None:
    tools = tuple(tool.model_copy(update={"input_schema": {}}) for tool in asked().tools)
    assert body(asked(tools=tools))["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


def test_an_output_schema_is_closed_where_it_does_not_say() -> None:
    inner = {"type": "object", "properties": {}, "additionalProperties": True}
    schema = {"type": "object", "properties": {"a": inner}}
    wire = body(asked(json_schema=schema))
    assert wire["output_config"] == {
        "format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}
    }


def test_fields_that_a_backend_does_not_know_are_left_out() -> None:
    where = WHERE.model_copy(update={"model_family": MODEL})
    high = asked(params=CallParams(reasoning_effort="high"))
    made = body_of(high, DefaultParams(), provenance=where, shown=False, omit=("output_config",))
    assert "output_config" not in json.loads(made.content)
