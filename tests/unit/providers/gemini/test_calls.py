"""Function calls as Gemini sends them (the E numbers are those of the edge case list)."""

import json
from typing import Any

import pytest

from protocol.model import ToolCallStart
from tests.conformance.provider_suite import request, said
from tests.unit.providers.gemini.words import ASKED, STOP, ask, call, chunk, hear, piece, sent, turn_of
from tests.unit.providers.loopback import Backend


async def test_a_call_comes_whole_with_its_id(backend: Backend) -> None:
    heard = await hear(backend, chunk(call(id="w1", args={"b": 1, "a": "x"})), STOP)
    assert heard.made == [("w1", "bash", '{"a": "x", "b": 1}', "ok")]
    assert heard.first_call.arguments_raw == '{"a":"x","b":1}'


async def test_e27_calls_without_ids_get_ids_that_differ(backend: Backend) -> None:
    heard = await hear(
        backend, chunk(call(args={"x": 1}), call(args={"x": 2})), chunk(call(args={"x": 3})), STOP
    )
    assert len({made[0] for made in heard.made}) == 3
    assert {start.id_origin for start in heard.of(ToolCallStart)} == {"synthetic"}
    history = turn_of(heard, **{made[0]: f"result {at}" for at, made in enumerate(heard.made)})
    mixed = [*history[:3], *reversed(history[3:])]
    body = (await sent(backend, request(said("go"), *mixed, model="gemini-3-pro"))).body
    results = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert [one["response"]["output"] for one in results] == ["result 0", "result 1", "result 2"]
    assert not any("id" in one for one in results)
    assert not any("id" in part["functionCall"] for part in body["contents"][1]["parts"])


async def test_an_id_of_the_vendor_goes_back_with_the_call_and_its_result(backend: Backend) -> None:
    heard = await hear(backend, chunk(call(id="w1", args={})), STOP)
    body = (await sent(backend, request(said("go"), *turn_of(heard), model="gemini-3-pro"))).body
    assert body["contents"][1]["parts"][0]["functionCall"]["id"] == "w1"
    assert body["contents"][2]["parts"][0]["functionResponse"]["id"] == "w1"


async def test_an_id_that_the_history_already_holds_is_replaced_here_and_kept_there(backend: Backend) -> None:
    first = await hear(backend, chunk(call(id="w1", args={})), STOP)
    asked = request(said("go"), *turn_of(first), said("more"), model="gemini-3-pro")
    backend.answer(chunk(call(id="w1", args={})) + STOP)
    again = await ask(backend, asked)
    assert again.first_call.call_id != "w1"
    assert [one.payload for one in again.first_call.opaque] == [{"id": "w1"}]


async def test_e28_stop_with_calls_hands_control_over(backend: Backend) -> None:
    heard = await hear(backend, chunk(call(args={}), finish="STOP"))
    assert (heard.finish.reason, heard.finish.native_reason) == ("tool_calls", "STOP")


@pytest.mark.parametrize("fields", [{}, {"args": None}, {"args": ""}, {"args": "null"}])
async def test_e9_no_arguments_are_an_empty_object(backend: Backend, fields: dict[str, Any]) -> None:
    heard = await hear(backend, chunk(call(**fields)), STOP)
    assert [made[2:] for made in heard.made] == [("{}", "empty")]


@pytest.mark.parametrize(
    ("args", "state", "read"),
    [
        ('{"a":1}', "ok", {"a": 1}),
        ('{}{"a":1}', "ok", {"a": 1}),
        (json.dumps(json.dumps({"a": 1})), "ok", {"a": 1}),
        ('{"a":1}```', "invalid", {}),
        ('{"a": nope}', "invalid", {}),
        ([1], "invalid", {}),
        (7, "invalid", {}),
    ],
)
async def test_e10_e16_e17_e19_e20_arguments_in_other_shapes(
    backend: Backend, args: object, state: str, read: object
) -> None:
    heard = await hear(backend, chunk(call(args=args)), STOP)
    assert (heard.first_call.arguments_state, heard.first_call.arguments) == (state, read)
    assert heard.finish.reason == "tool_calls"


async def test_e18_of_a_key_that_stands_twice_the_last_value_counts(backend: Backend) -> None:
    wire = chunk(call(args={"a": 1, "b": 2})).replace(b'"b"', b'"a"')
    heard = await hear(backend, wire, STOP)
    assert (heard.first_call.arguments, heard.notices) == ({"a": 2}, ["arguments"])


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"12345678901234567890", b'"\\ud800"'])
async def test_arguments_that_no_digest_can_carry_are_told(backend: Backend, number: bytes) -> None:
    heard = await hear(backend, chunk(call(args={"a": 1})).replace(b": 1}", b": " + number + b"}"), STOP)
    assert heard.first_call.arguments_state == ("ok" if b"ud800" in number else "invalid")
    heard.first_call.model_dump_json().encode()


async def test_e15_a_call_that_the_output_limit_cut_is_truncated(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(call(args={"x": 1})),
        chunk(call("grep", willContinue=True, partialArgs=[piece("$.x", stringValue="ha", more=True)])),
        chunk(finish="MAX_TOKENS"),
    )
    assert [made[3] for made in heard.made] == ["ok", "truncated"]
    assert heard.finish.reason == "length"


async def test_e21_e22_names_come_back_as_they_were(backend: Backend) -> None:
    tools = ASKED.tools[0].model_copy(update={"name": "21st/magic"})
    body = (await sent(backend, ASKED.model_copy(update={"tools": (tools,)}))).body
    alias = body["tools"][0]["functionDeclarations"][0]["name"]
    assert alias.startswith("_21st_magic")
    backend.answer(chunk(call(alias), call("nobody")) + STOP)
    heard = await ask(backend, ASKED.model_copy(update={"tools": (tools,)}))
    assert [made[1] for made in heard.made] == ["21st/magic", "nobody"]


@pytest.mark.parametrize("last", [call("", partialArgs=[]), call("bash"), call("")])
async def test_e29_arguments_piece_by_piece_are_the_whole_object(
    backend: Backend, last: dict[str, Any]
) -> None:
    heard = await hear(
        backend,
        chunk(call(willContinue=True, signature="sig")),
        chunk(
            call("", willContinue=True, partialArgs=[piece("$.a.b[0].c", stringValue="ha\ud83d", more=True)])
        ),
        chunk(call("", willContinue=True, partialArgs=[piece("$.a.b[0].c", stringValue="\ude00")])),
        chunk(
            call(
                "bash",
                willContinue=True,
                partialArgs=[
                    piece("$['x y']", numberValue=2),
                    piece('$["q"]', boolValue=False),
                    piece("$.n", nullValue="NULL_VALUE"),
                    piece("$.a.b[1]", numberValue=0.5),
                ],
            )
        ),
        chunk(last),
        STOP,
    )
    assert heard.first_call.arguments == {
        "a": {"b": [{"c": "ha😀"}, 0.5]},
        "x y": 2,
        "q": False,
        "n": None,
    }
    assert [one.payload for one in heard.first_call.opaque] == [{"thoughtSignature": "sig"}]
    assert len(heard.made) == 1


async def test_e29_two_calls_grow_at_once_by_their_ids(backend: Backend) -> None:
    def grow(name: str, value: str, more: bool = True) -> bytes:
        pieces = [piece("$.x", stringValue=value, more=more)]
        return chunk(call(id=name, partialArgs=pieces, willContinue=more))

    heard = await hear(
        backend, grow("a", "1"), grow("b", "2"), grow("a", "3", False), grow("b", "4", False), STOP
    )
    assert [made[::2] for made in heard.made] == [("a", '{"x": "13"}'), ("b", '{"x": "24"}')]


async def test_e29_a_whole_object_that_comes_early_is_kept(backend: Backend) -> None:
    heard = await hear(backend, chunk(call(args={"x": 2}, willContinue=True)), chunk(call("")), STOP)
    assert heard.made[0][2:] == ('{"x": 2}', "ok")


async def test_e29_a_whole_object_at_the_end_counts(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(call(willContinue=True, partialArgs=[piece("$.x", numberValue=1)])),
        chunk(call(args={"x": 2})),
        STOP,
    )
    assert (heard.first_call.arguments, heard.notices) == ({"x": 2}, ["delta_mismatch"])


@pytest.mark.parametrize(
    "path", ["x", "$", "$.x.y", "$.l[5]", "$..x", "$.l.k", "$[*]", "$" + "[0]" * 99, "$.x[0]"]
)
async def test_a_path_that_leads_nowhere_makes_the_call_invalid(backend: Backend, path: str) -> None:
    pieces = [piece("$.x", stringValue="a"), piece("$.l[0]", numberValue=1), piece(path, numberValue=1)]
    heard = await hear(backend, chunk(call(partialArgs=pieces)), STOP)
    assert (heard.first_call.arguments_state, heard.notices) == ("invalid", ["arguments"])


async def test_a_call_that_the_wire_never_ended_ends_with_the_answer(backend: Backend) -> None:
    done = chunk(call(willContinue=True, partialArgs=[piece("$.x", stringValue="a")]))
    half = chunk(call(willContinue=True, partialArgs=[piece("$.x", stringValue="a", more=True)]))
    assert (await hear(backend, done, STOP)).made[0][2:] == ('{"x": "a"}', "ok")
    assert (await hear(backend, half, STOP)).made[0][2:] == ("{}", "truncated")
    cut = await hear(backend, done)
    assert (cut.made[0][3], cut.error.code) == ("truncated", "provider.stream_truncated")
