"""Text, reasoning, refusals and broken characters, as backends really send them."""

import json

import pytest

from protocol.model import MessageStart, ReasoningDelta, ReasoningEnd, TextEnd
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import DONE, Heard, ask, call, chunk, counted, frame, hear, turn_of
from tests.unit.providers.loopback import Backend

STOPPED = chunk("stop") + DONE


def reasoning(heard: Heard) -> list[str]:
    return [end.text for end in heard.ended if isinstance(end, ReasoningEnd)]


async def test_the_first_chunk_names_the_answer(backend: Backend) -> None:
    heard = await hear(backend, chunk(role="assistant", content=""), chunk(content="hi"), STOPPED)
    start = heard.events[0]
    assert isinstance(start, MessageStart)
    assert (start.provider_message_id, start.model_reported) == ("c1", "m1-2026")
    assert start.created_at is not None
    assert start.created_at.timestamp() == 1


async def test_empty_and_missing_content_is_no_delta(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(content=None),
        chunk(content=""),
        chunk(),
        chunk(content="a"),
        chunk(content="b"),
        STOPPED,
    )
    assert heard.deltas == ["a", "b"]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_a_block_before_the_text(backend: Backend, name: str) -> None:
    heard = await hear(
        backend,
        frame({"choices": [{"index": 0, "delta": {name: "let me"}}]}),
        frame({"choices": [{"index": 0, "delta": {name: " see"}}]}),
        chunk(content="yes"),
        STOPPED,
    )
    assert reasoning(heard) == ["let me see"]
    assert [type(end) for end in heard.ended] == [ReasoningEnd, TextEnd]


async def test_reasoning_under_two_names_at_once_is_said_once(backend: Backend) -> None:
    heard = await hear(backend, chunk(reasoning="x", reasoning_content="x"), STOPPED)
    assert reasoning(heard) == ["x"]


async def test_reasoning_that_is_not_passed_on_is_kept_for_replay_only(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(reasoning_content="secret "),
        chunk(reasoning_content="thoughts"),
        call(0, id="a", name="bash", arguments="{}"),
        chunk("tool_calls"),
        DONE,
        pass_reasoning_to_loop=False,
    )
    end = heard.ended[0]
    assert isinstance(end, ReasoningEnd)
    assert (end.text, end.visibility) == ("", "omitted")
    assert [opaque.payload for opaque in end.opaque] == [
        {"field": "reasoning_content", "value": "secret thoughts"}
    ]
    assert not any(isinstance(event, ReasoningDelta) for event in heard.events)
    await ask(backend, request(said("go"), *turn_of(heard)))
    assert backend.asked[-1].body["messages"][2]["reasoning_content"] == "secret thoughts"


async def test_reasoning_goes_back_only_to_its_maker_and_only_inside_its_tool_loop(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(reasoning_content="hm"),
        call(0, id="a", name="bash", arguments="{}"),
        chunk("tool_calls"),
        DONE,
    )
    history = [said("go"), *turn_of(heard)]
    await ask(backend, request(*history))
    inside = backend.asked[-1].body["messages"][2]
    await ask(backend, request(*history, said("and now?")))
    after = backend.asked[-1].body["messages"][2]
    other = await ask(backend, request(*history, model="m2"))
    elsewhere = backend.asked[-1].body["messages"][2]
    assert inside["reasoning_content"] == "hm"
    assert "reasoning_content" not in after
    assert "reasoning_content" not in elsewhere
    assert "opaque_dropped" in other.notices


async def test_typed_reasoning_details_are_put_together_and_go_back(backend: Backend) -> None:
    def detail(**fields: object) -> bytes:
        return chunk(reasoning_details=[{"type": "reasoning.text", "index": 0, **fields}])

    heard = await hear(
        backend,
        detail(text="let ", signature=None),
        detail(text="me"),
        detail(signature="sig"),
        chunk(reasoning_details=[{"type": "reasoning.encrypted", "index": 1, "data": "xyz"}]),
        call(0, id="a", name="bash", arguments="{}"),
        chunk("tool_calls"),
        DONE,
    )
    await ask(backend, request(said("go"), *turn_of(heard)))
    assert backend.asked[-1].body["messages"][2]["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "let me", "signature": "sig"},
        {"type": "reasoning.encrypted", "index": 1, "data": "xyz"},
    ]


@pytest.mark.parametrize("cuts", [1, 2, 3, 100])
async def test_e51_think_tags_are_reasoning_where_the_entry_says_so(backend: Backend, cuts: int) -> None:
    text = "<think>a < b</think>so <thin air"
    pieces = [text[at : at + cuts] for at in range(0, len(text), cuts)]
    frames = [*(chunk(content=piece) for piece in pieces), STOPPED]
    heard = await hear(backend, *frames, think_tags=True)
    assert (reasoning(heard), heard.text) == (["a < b"], "so <thin air")
    plain = await hear(backend, *frames)
    assert (reasoning(plain), plain.text) == ([], text)


async def test_e51_an_unclosed_think_tag_leaves_reasoning(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="<think>and so on</th"), STOPPED, think_tags=True)
    assert (reasoning(heard), heard.text) == (["and so on</th"], "")


async def test_a_content_list_with_thinking_parts_is_split(backend: Backend) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    heard = await hear(
        backend,
        chunk(content=[thinking]),
        chunk(content=[{"type": "text", "text": "yes"}]),
        STOPPED,
    )
    assert (reasoning(heard), heard.text) == (["hm"], "yes")


async def test_e53_a_refusal_is_the_reason_even_if_the_wire_says_stop(backend: Backend) -> None:
    heard = await hear(backend, chunk(refusal="I can"), chunk(refusal="not."), STOPPED)
    assert (heard.refusal, heard.finish.reason, heard.finish.native_reason) == (
        "I cannot.",
        "refusal",
        "stop",
    )


async def test_e57_filtered_content_is_kept(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="half a"), chunk("content_filter"), DONE)
    assert (heard.text, heard.finish.reason) == ("half a", "content_filter")


async def test_e58_an_empty_answer_is_a_stop_without_blocks(backend: Backend) -> None:
    heard = await hear(backend, chunk(role="assistant"), STOPPED)
    assert (heard.ended, heard.finish.reason) == ([], "stop")


async def test_e59_an_emoji_split_over_two_deltas_is_joined(backend: Backend) -> None:
    heard = await hear(
        backend,
        chunk(content="a\ud83d"),
        chunk(content="\ude00b"),
        call(0, id="a", name="bash", arguments='{"x":"\ud83d'),
        call(0, arguments='\ude00"}'),
        chunk("tool_calls"),
        DONE,
    )
    assert heard.deltas == ["a", "😀b"]
    assert heard.first_call.arguments == {"x": "😀"}
    assert heard.notices == []


@pytest.mark.parametrize("text", ["a\ud83d", "\ude00b", "a\ud83db", "\ude00\ud83d"])
async def test_e59_half_a_character_is_replaced(backend: Backend, text: str) -> None:
    heard = await hear(backend, chunk(content=text), STOPPED)
    assert "\ufffd" in heard.text
    json.dumps(heard.text).encode()
    heard.text.encode()
    assert heard.notices == ["damaged_text"]


async def test_e59_bytes_that_are_not_utf8_are_replaced(backend: Backend) -> None:
    broken = chunk(content="a@b").replace(b"@", b"\xff")
    heard = await hear(backend, broken, STOPPED)
    assert (heard.text, heard.notices) == ("a\ufffdb", ["damaged_text"])


async def test_a_surrogate_in_any_other_place_reaches_nobody(backend: Backend) -> None:
    bad = "\ud800"
    choice = {"index": 0, "delta": {"reasoning_content": f"r{bad}"}, "finish_reason": bad}
    heard = await hear(
        backend,
        frame({"id": bad, "model": bad, "choices": []}),
        call(0, id=bad, name=bad, arguments='{"\\ud800": "\\ud800"}'),
        frame({"choices": [choice]}),
        DONE,
    )
    for event in heard.events:
        event.model_dump_json().encode()


async def test_e60_a_large_delta_passes_and_one_over_the_limit_does_not(backend: Backend) -> None:
    backend.answer(chunk(content="x" * 3_000_000) + STOPPED)
    assert len((await ask(backend)).text) == 3_000_000
    backend.answer(chunk(content="ok"), b"data: " + b"x" * 9_000_000)
    heard = await ask(backend)
    assert (heard.text, heard.error.code) == ("ok", "provider.protocol_violation")


async def test_unicode_and_newlines_come_through(backend: Backend) -> None:
    text = 'líne\n\r\n\tdata: "x"  ✓ 漢字 \U0001f468\u200d\U0001f469'
    raw = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=False).encode()
    heard = await hear(backend, b"data: " + raw + b"\n\n", STOPPED, counted())
    assert heard.text == text
