"""Tool calls of Responses (the E numbers are those of the edge case list)."""

import json
from typing import Any

import pytest

from protocol.model import ToolCallDelta, ToolCallStart
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import Heard
from tests.unit.providers.openai_responses.frames import (
    CREATED,
    about,
    added,
    arguments,
    call,
    called,
    custom,
    done,
    ended,
    event,
    function,
    hear,
    items,
    kept,
    message,
    read,
    response,
    result,
    whole,
)


def starts(heard: Heard) -> list[ToolCallStart]:
    return [one for one in heard.events if isinstance(one, ToolCallStart)]


def deltas(heard: Heard) -> list[str]:
    return [one.arguments for one in heard.events if isinstance(one, ToolCallDelta)]


def test_parallel_calls_are_blocks_in_the_order_of_their_start() -> None:
    heard = hear(CREATED, call("a", '{"x":', "1}"), call("b", "{}", at=1), ended())
    assert heard.made == [("a", "bash", '{"x": 1}', "ok"), ("b", "bash", "{}", "ok")]
    assert [(one.block, one.call_id, one.kind, one.id_origin) for one in starts(heard)] == [
        (0, "a", "function", "wire"),
        (1, "b", "function", "wire"),
    ]
    assert (heard.finish.reason, heard.finish.native_reason) == ("tool_calls", "completed")


def test_interleaved_arguments_go_to_the_item_that_they_name() -> None:
    heard = hear(
        CREATED,
        added(function("a"), 0),
        added(function("b"), 1),
        arguments('{"x"', at=0),
        arguments('{"y"', call_id="b", at=1),
        arguments(":1}", at=0),
        arguments(":2}", call_id="b", at=1),
        done(function("b", '{"y":2}'), 1),
        done(function("a", '{"x":1}'), 0),
        ended(),
    )
    assert heard.made == [("b", "bash", '{"y": 2}', "ok"), ("a", "bash", '{"x": 1}', "ok")]


@pytest.mark.parametrize("told", [("a", "b"), ("", "")])
def test_an_item_is_found_by_its_place_where_its_id_changes(told: tuple[str, str]) -> None:
    heard = hear(
        CREATED,
        added(function("a") | {"id": "x1"}),
        event("function_call_arguments.delta", output_index=0, item_id=told[0], delta='{"x":1}'),
        done(function("a", '{"x":1}') | {"id": told[1]}),
        ended("completed", function("a", '{"x":1}') | {"id": "x9"}),
    )
    assert heard.made == [("a", "bash", '{"x": 1}', "ok")]


def test_items_that_all_claim_the_same_place_stay_apart_by_their_ids() -> None:
    heard = hear(CREATED, call("a", '{"x":1}'), call("b", '{"x":2}'), done(message("hi")), ended())
    assert [made[0] for made in heard.made] == ["a", "b"]
    assert heard.text == "hi"


@pytest.mark.parametrize("empty", ["", "null"])
def test_e9_no_arguments_are_an_empty_object(empty: str) -> None:
    heard = hear(CREATED, added(function("a")), done(function("a", empty)), ended())
    assert heard.made == [("a", "bash", "{}", "empty")]


def test_e10_a_placeholder_object_gives_way_to_the_arguments() -> None:
    heard = hear(CREATED, added(function("a")), arguments("{}", '{"a":1}'), ended())
    assert (heard.made, heard.notices) == ([("a", "bash", '{"a": 1}', "ok")], ["arguments"])


@pytest.mark.parametrize("pieces", [["1", "2"], ["{}"], ['"x"'], ["{", "}"]])
def test_e11_a_prefix_that_parses_is_not_an_end(pieces: list[str]) -> None:
    frames = [CREATED, added(function("a")), arguments(*pieces)]
    open_still = read(frames)
    assert [one.type for one in open_still][-2:] == ["tool_call_end", "error"]
    heard = hear(*frames, ended())
    assert heard.first_call.arguments_raw == "".join(pieces)


@pytest.mark.parametrize(
    "frames",
    [
        [added(function("a")), event("function_call_arguments.done", **about("fc_a"), arguments='{"x":1}')],
        [added(function("a")), done(function("a", '{"x":1}'))],
        [done(function("a", '{"x":1}'))],
        [],
    ],
)
def test_e12_a_value_that_comes_whole_is_one_delta(frames: list[bytes]) -> None:
    output = [] if frames else [function("a", '{"x":1}')]
    heard = hear(CREATED, *frames, ended("completed", *output))
    assert heard.made == [("a", "bash", '{"x": 1}', "ok")]
    assert (deltas(heard), heard.finish.reason) == (['{"x":1}'], "tool_calls")


@pytest.mark.parametrize("by_item", [True, False])
def test_e13_the_value_at_the_end_wins_over_its_deltas(by_item: bool) -> None:
    told = event("function_call_arguments.done", **about("fc_a"), arguments='{"x":2}')
    end = done(function("a", '{"x":3}' if by_item else ""))
    heard = hear(CREATED, added(function("a")), arguments('{"x":1}'), told, end, ended())
    assert heard.made == [("a", "bash", '{"x": 3}' if by_item else '{"x": 2}', "ok")]
    assert heard.notices == ["delta_mismatch"]


def test_e15_a_call_cut_by_the_output_limit_is_truncated() -> None:
    cut = {"incomplete_details": {"reason": "max_output_tokens"}}
    open_call = function("b", '{"comm', status="incomplete")
    frames = [CREATED, call("a", '{"x":1}'), added(function("b"), 1), arguments('{"comm', call_id="b", at=1)]
    for end in ([done(open_call, 1), ended("incomplete", **cut)], [ended("incomplete", open_call, **cut)]):
        heard = hear(*frames, *end)
        assert heard.made == [("a", "bash", '{"x": 1}', "ok"), ("b", "bash", "{}", "truncated")]
        assert (heard.finish.reason, heard.finish.native_reason) == ("length", "incomplete")
        assert heard.finish.native_detail == "max_output_tokens"


@pytest.mark.parametrize(
    ("raw", "made", "state"),
    [
        ("{]", {}, "invalid"),
        ('{"a":1}\n```', {}, "invalid"),
        ('{"a":1}{"a":2}', {}, "invalid"),
        ('{"a":1,"a":2}', {"a": 2}, "ok"),
        ('"{\\"a\\":1}"', {"a": 1}, "ok"),
        ({"b": 1, "a": [2]}, {"a": [2], "b": 1}, "ok"),
    ],
    ids=["e16", "e17-fence", "e17-second", "e18", "e20", "e19"],
)
def test_arguments_that_are_not_what_they_should_be_are_told_as_they_are(
    raw: Any, made: dict[str, Any], state: str
) -> None:
    heard = hear(CREATED, added(function("a")), done(function("a", raw)), ended())
    assert (heard.first_call.arguments, heard.first_call.arguments_state) == (made, state)
    assert heard.finish.reason == "tool_calls"
    if isinstance(raw, dict):
        assert heard.first_call.arguments_raw == '{"a":[2],"b":1}'


def test_e21_a_tool_that_nobody_offered_is_told_like_any_other() -> None:
    heard = hear(CREATED, call("a", "{}", name="nobody"), ended())
    assert (heard.made, heard.finish.reason) == ([("a", "nobody", "{}", "ok")], "tool_calls")


def test_e22_names_travel_under_an_alias_and_come_back() -> None:
    [*_, item, _] = items(said("go"), called("a", "fs.read/file"), result("a", "ok"))
    assert item["name"] != "fs.read/file"
    heard = hear(CREATED, call("b", "{}", name=item["name"]), ended())
    assert heard.first_call.name == "fs.read/file"


def test_an_id_that_the_session_has_seen_is_replaced() -> None:
    asked = request(said("go"), called("a"), result("a", "ok"))
    heard = hear(CREATED, call("a", "{}"), ended(), asked=asked)
    assert heard.first_call.call_id.startswith("call_")
    assert [one.id_origin for one in starts(heard)] == ["synthetic"]


def test_a_call_without_a_join_key_gets_one_of_ours_and_never_the_id_of_its_item() -> None:
    heard = hear(CREATED, added(function("")), done(function("", '{"x":1}')), ended())
    assert heard.first_call.call_id.startswith("call_")


def test_a_call_without_a_name_is_left_out_with_a_notice() -> None:
    heard = hear(CREATED, arguments('{"x":1}'), ended())
    assert (heard.made, heard.notices, heard.finish.reason) == ([], ["nameless_call"], "stop")


def test_e30_free_text_of_a_custom_tool_stays_as_it_is() -> None:
    text = '*** Begin\n{"not": json\r\n\t"é"\n'
    heard = hear(
        CREATED,
        added(custom("a", "")),
        *(event("custom_tool_call_input.delta", **about("ct_a"), delta=one) for one in (text[:5], text[5:])),
        event("custom_tool_call_input.done", **about("ct_a"), input=text),
        done(custom("a", text)),
        ended(),
    )
    [end] = heard.calls
    assert (end.kind, end.arguments, end.arguments_raw) == ("custom", {"input": text}, text)
    assert (end.arguments_state, heard.finish.reason) == ("ok", "tool_calls")


def test_e30_a_custom_call_goes_back_as_one_to_its_maker() -> None:
    heard = hear(CREATED, done(custom("a", "x\n", namespace="ns")), done(function("b", "{}"), 1), ended())
    assert items(said("go"), *kept(heard, a="done"))[1:] == [
        {"type": "custom_tool_call", "namespace": "ns", "call_id": "a", "name": "patch", "input": "x\n"},
        {"type": "function_call", "call_id": "b", "name": "bash", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
        {"type": "function_call_output", "call_id": "b", "output": "ok"},
    ]
    [_, foreign, *_] = items(
        said("go"), *kept(heard), models=("m1",), api_key_ref={"kind": "env", "name": "B"}
    )
    assert foreign == {
        "type": "function_call",
        "call_id": "a",
        "name": "patch",
        "arguments": json.dumps({"input": "x\n"}, separators=(",", ":")),
    }


def test_a_whole_answer_makes_the_same_calls() -> None:
    output = [message("hi"), function("a", '{"x":1}'), custom("b", "free")]
    streamed = hear(CREATED, *(done(item, at) for at, item in enumerate(output)), ended("completed", *output))
    assert whole(response("completed", *output)).events == streamed.events
