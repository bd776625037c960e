"""Tool calls as backends really send them (the E numbers are those of the edge case list)."""

import json

import pytest

from protocol.model import ModelEvent, ToolCallStart
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import DONE, Heard, ask, call, chunk, hear, turn_of
from tests.unit.providers.loopback import Backend

ENDED = chunk("tool_calls") + DONE


def starts(heard: Heard) -> list[ModelEvent]:
    return [event for event in heard.events if isinstance(event, ToolCallStart)]


async def test_e1_interleaved_fragments_go_to_the_call_at_their_index(backend: Backend) -> None:
    heard = await hear(
        backend,
        call(0, id="a", type="function", name="bash", arguments=""),
        call(1, id="b", type="function", name="grep", arguments=""),
        *(call(index, arguments=piece) for piece in ('{"x":', "1}") for index in (0, 1)),
        ENDED,
    )
    assert heard.made == [("a", "bash", '{"x": 1}', "ok"), ("b", "grep", '{"x": 1}', "ok")]
    assert starts(heard) == [
        ToolCallStart(block=0, call_id="a", name="bash"),
        ToolCallStart(block=1, call_id="b", name="grep"),
    ]


async def test_e2_a_new_id_at_the_same_index_is_a_second_call(backend: Backend) -> None:
    heard = await hear(
        backend,
        call(0, id="a", name="bash", arguments='{"x":1}'),
        call(0, id="b", name="bash", arguments='{"x":2}'),
        ENDED,
    )
    assert heard.made == [("a", "bash", '{"x": 1}', "ok"), ("b", "bash", '{"x": 2}', "ok")]


async def test_e3_without_an_index_the_id_decides_and_without_both_the_last_call(backend: Backend) -> None:
    heard = await hear(
        backend,
        call(None, id="a", name="bash", arguments='{"x"'),
        call(None, id="b", name="grep", arguments='{"y"'),
        call(None, id="a", arguments=":1}"),
        call(None, arguments=":2}"),
        ENDED,
    )
    assert heard.made == [("a", "bash", '{"x": 1}', "ok"), ("b", "grep", '{"y": 2}', "ok")]


async def test_e3_complete_calls_without_index_and_id_stay_apart(backend: Backend) -> None:
    heard = await hear(
        backend,
        call(None, name="bash", arguments='{"x":1}'),
        call(None, name="bash", arguments='{"x":2}'),
        ENDED,
    )
    assert [made[1:] for made in heard.made] == [("bash", '{"x": 1}', "ok"), ("bash", '{"x": 2}', "ok")]
    assert len({made[0] for made in heard.made}) == 2


@pytest.mark.parametrize("first", [1, 5])
async def test_e4_blocks_begin_at_zero_whatever_the_first_index(backend: Backend, first: int) -> None:
    heard = await hear(backend, call(first, id="a", name="bash", arguments="{}"), ENDED)
    assert (heard.first_call.block, heard.first_call.name) == (0, "bash")


@pytest.mark.parametrize("fields", [{}, {"id": None}, {"id": ""}])
async def test_e5_a_call_without_an_id_gets_one_of_ours(backend: Backend, fields: dict[str, str]) -> None:
    heard = await hear(
        backend,
        call(0, name="bash", arguments="{}", **fields),
        call(1, name="bash", arguments="{}", **fields),
        ENDED,
    )
    ids = [made[0] for made in heard.made]
    assert len(set(ids)) == 2
    assert all(one.startswith("call_") for one in ids)
    assert [getattr(start, "id_origin", None) for start in starts(heard)] == ["synthetic", "synthetic"]


async def test_e6_an_id_that_comes_after_the_name_is_the_only_id(backend: Backend) -> None:
    heard = await hear(
        backend, call(0, name="bash", arguments='{"x"'), call(0, id="late", arguments=":1}"), ENDED
    )
    assert heard.made == [("late", "bash", '{"x": 1}', "ok")]
    assert len(starts(heard)) == 1


async def test_e7_an_id_and_name_repeated_in_every_fragment_are_said_once(backend: Backend) -> None:
    heard = await hear(
        backend, *(call(0, id="a", name="bash", arguments=piece) for piece in ("", '{"x"', ":1", "}")), ENDED
    )
    assert heard.made == [("a", "bash", '{"x": 1}', "ok")]
    assert len(starts(heard)) == 1


async def test_e8_a_name_split_over_fragments_is_one_name(backend: Backend) -> None:
    heard = await hear(
        backend,
        call(0, id="a", name="get_"),
        call(0, name="weather"),
        call(0, arguments='{"x":1}'),
        call(0, name="get_weather"),
        ENDED,
    )
    assert heard.made == [("a", "get_weather", '{"x": 1}', "ok")]


@pytest.mark.parametrize("fields", [{}, {"arguments": ""}, {"arguments": None}, {"arguments": "null"}])
async def test_e9_no_arguments_are_an_empty_object(backend: Backend, fields: dict[str, str]) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", **fields), ENDED)
    assert heard.made == [("a", "bash", "{}", "empty")]


async def test_e10_a_placeholder_object_gives_way_to_the_arguments(backend: Backend) -> None:
    heard = await hear(
        backend, call(0, id="a", name="bash", arguments="{}"), call(0, arguments='{"a":1}'), ENDED
    )
    assert heard.made == [("a", "bash", '{"a": 1}', "ok")]
    assert heard.notices == ["arguments"]


@pytest.mark.parametrize("pieces", [["1", "2"], ["{}"], ['"x"'], ["{", "}"]])
async def test_e11_a_prefix_that_parses_is_not_an_end(backend: Backend, pieces: list[str]) -> None:
    heard = await hear(
        backend,
        call(0, id="a", name="bash"),
        *(call(0, arguments=piece) for piece in pieces),
        chunk(content="still talking"),
        ENDED,
    )
    kinds = [event.type for event in heard.events]
    assert kinds.index("tool_call_end") > kinds.index("text_end")
    assert heard.first_call.arguments_raw == "".join(pieces)


async def test_e15_a_call_cut_by_the_output_limit_is_truncated(backend: Backend) -> None:
    heard = await hear(
        backend,
        call(0, id="a", name="bash", arguments='{"x":1}'),
        call(1, id="b", name="bash", arguments='{"comm'),
        call(2, id="c", name="bash"),
        chunk("length"),
        DONE,
    )
    assert [made[3] for made in heard.made] == ["ok", "truncated", "truncated"]
    assert heard.finish.reason == "length"


async def test_e16_invalid_arguments_are_told_with_their_place(backend: Backend) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments='{"x": nope}'), ENDED)
    assert heard.made == [("a", "bash", "{}", "invalid")]
    assert heard.first_call.arguments_raw == '{"x": nope}'
    assert heard.finish.reason == "tool_calls"
    assert any("char 6" in repr(event) for event in heard.events)


@pytest.mark.parametrize("junk", ["```", '{"b":2}', " x", "]"])
async def test_e17_junk_after_the_object_makes_it_invalid(backend: Backend, junk: str) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments='{"a":1}' + junk), ENDED)
    assert (heard.first_call.arguments_state, heard.first_call.arguments_raw) == ("invalid", '{"a":1}' + junk)


async def test_e18_of_a_key_that_stands_twice_the_last_value_counts(backend: Backend) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments='{"a":1,"a":2}'), ENDED)
    assert heard.made == [("a", "bash", '{"a": 2}', "ok")]
    assert heard.notices == ["arguments"]


async def test_e19_arguments_given_as_an_object_are_written_canonically(backend: Backend) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments={"b": 1, "a": [2]}), ENDED)
    assert heard.first_call.arguments_raw == '{"a":[2],"b":1}'
    assert heard.first_call.arguments == {"a": [2], "b": 1}


async def test_e20_arguments_encoded_twice_are_decoded_twice(backend: Backend) -> None:
    twice = json.dumps(json.dumps({"a": 1}))
    heard = await hear(backend, call(0, id="a", name="bash", arguments=twice), ENDED)
    assert heard.made == [("a", "bash", '{"a": 1}', "ok")]
    assert heard.notices == ["arguments"]


async def test_e21_a_tool_that_was_not_offered_is_still_told(backend: Backend) -> None:
    heard = await hear(backend, call(0, id="a", name="nobody", arguments="{}"), ENDED)
    assert heard.made == [("a", "nobody", "{}", "ok")]


async def test_e22_a_name_that_the_wire_does_not_take_travels_under_an_alias(backend: Backend) -> None:
    backend.answer(DONE)
    await ask(backend)
    names = [tool["function"]["name"] for tool in backend.asked[0].body["tools"]]
    assert names[0] == "bash"
    assert names[1].startswith("fs_read_file_")
    heard = await hear(backend, call(0, id="a", name=names[1], arguments="{}"), ENDED)
    assert heard.made == [("a", "fs.read/file", "{}", "ok")]


async def test_e23_stop_with_calls_hands_control_over(backend: Backend) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments="{}"), chunk("stop"), DONE)
    assert (heard.finish.reason, heard.finish.native_reason) == ("tool_calls", "stop")


async def test_e25_tool_calls_without_a_call_is_a_stop(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="hm"), chunk("tool_calls"), DONE)
    assert (heard.finish.reason, heard.finish.native_reason) == ("stop", "tool_calls")
    assert heard.notices == ["no_tool_calls"]


async def test_e26_the_legacy_function_call_is_one_call(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(function_call={"name": "bash", "arguments": ""}),
        chunk(function_call={"arguments": '{"x":'}),
        chunk(function_call={"arguments": "1}"}),
        chunk("function_call"),
        DONE,
    )
    assert [made[1:] for made in heard.made] == [("bash", '{"x": 1}', "ok")]
    assert heard.finish.reason == "tool_calls"


async def test_an_id_that_the_history_already_holds_is_replaced(backend: Backend) -> None:
    """Results are matched by id; some backends count from call_0 in every answer."""
    backend.answer(call(0, id="call_0", name="bash", arguments="{}") + ENDED)
    first = await ask(backend)
    again = await ask(backend, request(said("go"), *turn_of(first), said("again")))
    assert first.first_call.call_id == "call_0"
    assert again.first_call.call_id != "call_0"


@pytest.mark.parametrize(
    "raw", ['{"a": NaN}', '{"a": 1e999}', '{"a": 12345678901234567890}', '{"a":' * 70 + "1" + "}" * 70]
)
async def test_arguments_that_no_digest_can_carry_are_invalid(backend: Backend, raw: str) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments=raw), ENDED)
    assert heard.first_call.arguments_state == "invalid"
