"""What is sent: the same bytes each time, every call answered in order, nothing foreign."""

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
    Opaque,
    Part,
    Source,
    SystemBlock,
    TextPart,
    ThinkingBlock,
    VideoPart,
)
from protocol.model import CallParams, ModelRequest, ToolChoice
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import KEY
from tests.unit.providers.gemini.words import ASKED, STOP, WHERE, ask, contents, sent
from tests.unit.providers.loopback import Backend
from tests.unit.providers.test_chat_requests import PIXEL, answered, called, common, result

SKIPPED = "skip_thought_signature_validator"


def asked_with(**fields: Any) -> ModelRequest:
    return ASKED.model_copy(update=fields)


async def notices(backend: Backend, asked: ModelRequest, **fields: Any) -> list[str]:
    backend.answer(STOP)
    return (await ask(backend, asked, **fields)).notices


async def test_the_whole_request(backend: Backend) -> None:
    params = CallParams(
        temperature=0.5, top_p=0.9, top_k=3, seed=7, stop=("END",), presence_penalty=1, frequency_penalty=-1
    )
    tuned = params.model_copy(update={"reasoning_effort": "low", "service_tier": "flex"})
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    one = await sent(backend, asked_with(params=tuned, max_output_tokens=9, json_schema=schema))
    alias = one.body["tools"][0]["functionDeclarations"][1]["name"]
    declared = [
        {"name": name, "description": told, "parametersJsonSchema": {"type": "object"}}
        for name, told in (("bash", "bash"), (alias, "fs.read/file"))
    ]
    assert one.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": declared}],
        "serviceTier": "flex",
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 3,
            "seed": 7,
            "presencePenalty": 1,
            "frequencyPenalty": -1,
            "stopSequences": ["END"],
            "maxOutputTokens": 9,
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
        },
        "contents": [{"role": "user", "parts": [{"text": "go"}]}],
    }
    assert one.path == "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert (one.headers["x-goog-api-key"], one.headers["x-stainless-retry-count"]) == (KEY, "0")


@pytest.mark.parametrize(
    ("suffix", "model", "path"),
    [
        ("/", "m 1", "/v1beta/models/m%201:streamGenerateContent?alt=sse"),
        ("/proxy", "models/m1", "/proxy/v1beta/models/m1:streamGenerateContent?alt=sse"),
        ("?k=1", "tunedModels/t", "/v1beta/tunedModels/t:streamGenerateContent?k=1&alt=sse"),
    ],
)
async def test_the_operation_is_appended_to_the_base_url(
    backend: Backend, suffix: str, model: str, path: str
) -> None:
    base = backend.url.removesuffix("/v1") + suffix
    assert (await sent(backend, asked_with(model=model), base_url=base)).path == path


async def test_two_turns_share_all_bytes_up_to_the_new_content(backend: Backend) -> None:
    second = [called("a", arguments={"b": 1, "a": [1.0, "é"]}), result("a", "out"), answered("done")]
    short = (await sent(backend)).raw
    long = (await sent(backend, asked_with(blocks=(*ASKED.blocks, *second)))).raw
    assert long.startswith(short.removesuffix(b"]}"))
    assert (await sent(backend, asked_with(blocks=(*ASKED.blocks, *second)))).raw == long
    assert json.loads(long)["contents"][1]["parts"][0]["functionCall"]["args"] == {"a": [1, "é"], "b": 1}


async def test_e33_results_go_out_in_the_order_of_their_calls_and_neighbours_are_one(
    backend: Backend,
) -> None:
    wire = await contents(
        backend,
        said("go"),
        called("a"),
        called("b", "grep"),
        said("hurry"),
        result("b", "2"),
        result("a", "1"),
    )
    assert [one["role"] for one in wire] == ["user", "model", "user"]
    assert wire[2]["parts"] == [
        {"functionResponse": {"name": "bash", "response": {"output": "1"}}},
        {"functionResponse": {"name": "grep", "response": {"output": "2"}}},
        {"text": "hurry"},
    ]


@pytest.mark.parametrize(
    ("blocks", "named"),
    [
        ([called("a"), called("b"), result("a", "x")], "'b'"),
        ([result("z", "x")], "'z'"),
        ([called("a"), result("a", "x"), result("a", "y")], "'a'"),
    ],
)
async def test_e34_e35_e36_an_unbalanced_history_is_never_sent(
    backend: Backend, blocks: list[Block], named: str
) -> None:
    heard = await ask(backend, request(said("go"), *blocks))
    assert (heard.error.code, backend.asked) == ("provider.unbalanced_history", [])
    assert named in heard.error.message


async def test_an_error_is_told_as_one(backend: Backend) -> None:
    wire = await contents(backend, said("go"), called("a"), result("a", "broken", is_error=True))
    assert wire[2]["parts"][0]["functionResponse"]["response"] == {"error": "broken"}


async def test_e37_a_history_with_calls_but_without_tools_brings_uncallable_ones(backend: Backend) -> None:
    history = (said("go"), called("a", "grep"), result("a", "x"))
    body = (await sent(backend, asked_with(tools=(), blocks=history))).body
    assert [tool["name"] for tool in body["tools"][0]["functionDeclarations"]] == ["grep"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}
    assert "tools" not in (await sent(backend, asked_with(tools=()))).body


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(names=("bash",)), {"mode": "VALIDATED", "allowedFunctionNames": ["bash"]}),
        (ToolChoice(mode="required", names=("bash",)), {"mode": "ANY", "allowedFunctionNames": ["bash"]}),
    ],
)
async def test_a_choice_of_tools_leaves_their_list_as_it_is(
    backend: Backend, choice: ToolChoice, calling: dict[str, Any]
) -> None:
    body = (await sent(backend, asked_with(tool_choice=choice))).body
    assert body["toolConfig"] == {"functionCallingConfig": calling}
    assert len(body["tools"][0]["functionDeclarations"]) == 2


async def test_calls_that_others_made_are_marked_once_a_step_for_models_that_ask_for_it(
    backend: Backend,
) -> None:
    parallel = [called("a"), called("b"), result("a", "1"), result("b", "2")]
    history = [said("go"), *parallel, called("c"), result("c", "3")]
    newest = await contents(backend, *history)
    older = await contents(backend, *history, model="gemini-2.5-flash")
    steps = [one["parts"] for one in newest if one["role"] == "model"]
    marks = [[part.get("thoughtSignature") for part in parts] for parts in steps]
    assert marks == [[SKIPPED, None], [SKIPPED]]
    assert SKIPPED not in json.dumps(older)


async def test_reasoning_that_others_signed_is_left_out_with_a_notice(backend: Backend) -> None:
    other = WHERE.model_copy(update={"account_scope": "other"})
    elsewhere = Opaque(provenance=other, payload={"parts": [{"text": "x"}]})
    block = ThinkingBlock(content=(TextPart(text="hm"),), opaque=(elsewhere,), **common())
    asked = asked_with(blocks=(said("go"), block, answered("a"), said("b")))
    assert await notices(backend, asked) == ["opaque_dropped"]
    assert [one["role"] for one in backend.asked[-1].body["contents"]] == ["user", "model", "user"]
    assert "hm" not in backend.asked[-1].raw.decode()


async def test_signatures_that_are_refused_are_left_out_once(backend: Backend) -> None:
    signed = Opaque(provenance=WHERE, payload={"thoughtSignature": "old"})
    call = called("a").model_copy(update={"opaque": (signed,)})
    error = {"code": 400, "message": "Thought signature is not valid.", "status": "INVALID_ARGUMENT"}
    backend.answer(json.dumps({"error": error}).encode(), status="400 X")
    heard = await ask(backend, asked_with(blocks=(said("go"), call, result("a", "x"))))
    assert (heard.error.code, heard.notices) == ("provider.replay_state_rejected", ["opaque_dropped"])
    marks = [one.body["contents"][1]["parts"][0]["thoughtSignature"] for one in backend.asked]
    assert marks == ["old", SKIPPED]


async def test_a_system_layer_in_the_middle_is_marked_in_the_next_content(backend: Backend) -> None:
    block = SystemBlock(content=(TextPart(text="later"),), **common())
    wire = await contents(backend, said("go"), answered("a"), block, said("x"))
    assert wire[2]["parts"] == [{"text": "<system>\nlater\n</system>"}, {"text": "x"}]


async def test_empty_text_is_not_sent(backend: Backend) -> None:
    wire = await contents(backend, said("a"), answered(""), said(""), said("b"))
    assert wire == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]


async def test_media_go_inline_or_by_an_address_that_the_vendor_reads(backend: Backend) -> None:
    parts: tuple[Part, ...] = (
        PIXEL,
        AudioPart(source=Source(type="base64", media_type="audio/mpeg", data="YQ==")),
        DocumentPart(source=Source(type="base64", data="YQ==")),
        VideoPart(source=Source(type="url", url="https://www.youtube.com/watch?v=x")),
        ImagePart(source=Source(type="url", url="gs://bucket/a.png")),
        ImagePart(source=Source(type="url", media_type="image/webp", url="http://127.0.0.1/v1beta/files/a")),
    )
    wire = await contents(backend, InputBlock(content=parts, **common()))
    assert wire[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"inlineData": {"mimeType": "audio/mpeg", "data": "YQ=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "YQ=="}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://www.youtube.com/watch?v=x"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "http://127.0.0.1/v1beta/files/a"}},
    ]


@pytest.mark.parametrize(
    "part",
    [ImagePart(source=Source(type="url", url="https://x.example/a.png")), AssetPart(asset_id="asset_1")],
)
async def test_what_the_wire_cannot_carry_is_said_to_the_model_and_to_us(
    backend: Backend, part: Part
) -> None:
    asked = asked_with(blocks=(InputBlock(content=(part,), **common()),))
    assert await notices(backend, asked) == ["part_dropped"]
    assert "not shown" in backend.asked[-1].body["contents"][0]["parts"][0]["text"]


async def test_images_in_a_result_go_inside_it_where_the_model_takes_them(backend: Backend) -> None:
    history = [said("go"), called("a"), result("a", "shot", PIXEL)]
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    inside = (await contents(backend, *history))[2]["parts"]
    assert inside == [
        {"functionResponse": {"name": "bash", "response": {"output": "shot"}, "parts": [image]}}
    ]
    after = (await contents(backend, *history, model="gemini-2.5-pro"))[2]["parts"]
    assert after[0]["functionResponse"]["response"] == {"output": "shot\n[image: see below]"}
    assert after[1:] == [{"text": "The image of a result of bash:"}, image]


async def test_a_call_whose_arguments_did_not_parse_goes_back_as_an_object(backend: Backend) -> None:
    broken = called("a", arguments_state="invalid", arguments_raw='{"x": nope')
    wire = await contents(backend, said("go"), broken, result("a", "no", is_error=True))
    assert wire[1]["parts"][0]["functionCall"]["args"] == {"unparsed_arguments": '{"x": nope'}


@pytest.mark.parametrize(
    ("model", "params", "default", "thinking", "told"),
    [
        ("gemini-3-pro", {}, {}, {}, []),
        (
            "gemini-3-pro",
            {"reasoning_effort": "none"},
            {},
            {"thinkingLevel": "MINIMAL"},
            ["param_approximated"],
        ),
        ("gemini-3-pro", {"reasoning_effort": "max"}, {}, {"thinkingLevel": "XHIGH"}, ["param_approximated"]),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {}, {"thinkingBudget": 0}, []),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {}, {"thinkingBudget": 128}, ["param_approximated"]),
        ("gemini-2.5-pro", {"reasoning_effort": "max"}, {}, {"thinkingBudget": 32768}, []),
        ("gemini-3-pro", {"reasoning_tokens": 99}, {"thinkingLevel": "low"}, {"thinkingBudget": 99}, []),
        (
            "m",
            {"reasoning_tokens": 99, "reasoning_effort": "low"},
            {},
            {"thinkingBudget": 99},
            ["param_dropped"],
        ),
        ("gemini-3-pro", {}, {"thinkingLevel": "low"}, {"thinkingLevel": "LOW"}, []),
    ],
)
async def test_thinking_is_a_budget_or_a_level_never_both(
    backend: Backend,
    model: str,
    params: dict[str, Any],
    default: dict[str, Any],
    thinking: dict[str, Any],
    told: list[str],
) -> None:
    asked = asked_with(model=model, params=CallParams(**params))
    fields: dict[str, Any] = {
        "default_params": {"thinkingConfig": default},
        "pass_reasoning_to_loop": False,
    }
    assert await notices(backend, asked, **fields) == told
    assert backend.asked[-1].body.get("generationConfig", {}).get("thinkingConfig", {}) == thinking


async def test_what_has_no_place_is_left_out_with_one_notice(backend: Backend) -> None:
    params = CallParams(verbosity="low", end_user="u", service_tier="fast")
    asked = asked_with(params=params, parallel_tools=False)
    assert await notices(backend, asked, default_params={"structuredOutputs": False}) == ["param_dropped"]
    assert not {"verbosity", "user", "serviceTier"} & backend.asked[-1].body.keys()


async def test_a_schema_may_be_kept_back(backend: Backend) -> None:
    asked = asked_with(json_schema={"type": "object"})
    body = (await sent(backend, asked, default_params={"structuredOutputs": False})).body
    assert "responseJsonSchema" not in body["generationConfig"]
    assert body["generationConfig"]["responseMimeType"] == "application/json"


async def test_e126_an_older_backend_gets_the_schema_it_understands(backend: Backend) -> None:
    schema = {"$schema": "x", "type": "object", "properties": {"a": {"const": "b"}}, "minContains": 1}
    tool = ASKED.tools[0].model_copy(update={"input_schema": schema})
    asked = asked_with(tools=(tool,), json_schema={"type": ["string", "null"]})
    newer = (await sent(backend, asked)).body["tools"][0]["functionDeclarations"][0]
    assert newer["parametersJsonSchema"] == schema
    assert await notices(backend, asked, schema_form="openapi") == ["schema_cleaned"]
    body = backend.asked[-1].body
    assert body["tools"][0]["functionDeclarations"][0]["parameters"] == {
        "type": "object",
        "properties": {"a": {"enum": ["b"], "type": "string"}},
    }
    assert body["generationConfig"]["responseSchema"] == {"type": "string", "nullable": True}
