"""Text, thoughts, signatures, sources and the vendor's own tools in an answer."""

from typing import Any

import pytest

from protocol.model import MessageStart, ReasoningDelta, ReasoningEnd, TextEnd, ToolCallEnd
from tests.conformance.provider_suite import said
from tests.unit.providers.chat import frame
from tests.unit.providers.gemini.words import STOP, Ears, ask, call, chunk, contents, hear, turn_of
from tests.unit.providers.loopback import Backend


def thought(text: str, signature: str | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"text": text, "thought": True}
    return part if signature is None else {**part, "thoughtSignature": signature}


def signed(text: str, signature: str) -> dict[str, Any]:
    return {"text": text, "thoughtSignature": signature}


def reasoning(heard: Ears) -> list[str]:
    return [end.text for end in heard.ended if isinstance(end, ReasoningEnd)]


async def model_parts(backend: Backend, heard: Ears) -> list[Any]:
    """How an answer goes back, what was said next left away."""
    wire = await contents(backend, said("go"), *turn_of(heard), said("next"))
    assert [one["role"] for one in wire] == ["user", "model", "user"]
    return wire[1]["parts"]


async def test_the_first_chunk_names_the_answer(backend: Backend) -> None:
    first = frame({"responseId": "r1", "modelVersion": "m", "createTime": "2026-01-01T00:00:00.5Z"})
    start = (await hear(backend, first, chunk("hi"), STOP)).events[0]
    assert isinstance(start, MessageStart)
    assert (start.provider_message_id, start.model_reported) == ("r1", "m")
    assert start.created_at is not None
    assert start.created_at.isoformat() == "2026-01-01T00:00:00.500000+00:00"


async def test_text_and_thoughts_are_blocks_in_their_order(backend: Backend) -> None:
    heard = await hear(
        backend, chunk(thought("let me")), chunk(thought(" see"), "y"), chunk("es", ""), chunk("!"), STOP
    )
    assert (reasoning(heard), heard.deltas) == (["let me see"], ["y", "es", "!"])
    assert [type(end) for end in heard.ended] == [ReasoningEnd, TextEnd]


async def test_thoughts_that_are_not_passed_on_are_kept_for_replay_only(backend: Backend) -> None:
    frames = (chunk(thought("secret", "sig"), "yes"), STOP)
    heard = await hear(backend, *frames, pass_reasoning_to_loop=False)
    assert (reasoning(heard), heard.of(ReasoningDelta)) == ([""], [])
    assert (await model_parts(backend, heard))[0] == thought("secret", "sig")


async def test_thoughts_that_nobody_signed_do_not_go_back(backend: Backend) -> None:
    heard = await hear(backend, chunk(thought("hm"), "yes"), STOP)
    assert await model_parts(backend, heard) == [{"text": "yes"}]


async def test_e49_a_signature_in_an_empty_last_part_goes_back_at_its_place(backend: Backend) -> None:
    heard = await hear(backend, chunk("a"), chunk("b"), chunk(signed("", "sig"), finish="STOP"))
    assert [type(end) for end in heard.ended] == [TextEnd]
    assert await model_parts(backend, heard) == [{"text": "ab"}, signed("", "sig")]


async def test_signed_texts_are_never_joined_with_others(backend: Backend) -> None:
    heard = await hear(backend, chunk("a"), chunk(signed("bc", "one")), chunk("d", signed("e", "two")), STOP)
    assert heard.text == "abcde"
    assert await model_parts(backend, heard) == [
        {"text": "a"},
        signed("bc", "one"),
        {"text": "d"},
        signed("e", "two"),
    ]


async def test_a_signature_inside_thoughts_stays_with_them(backend: Backend) -> None:
    heard = await hear(backend, chunk(thought("a"), thought("b"), signed("", "sig")), chunk("c"), STOP)
    assert await model_parts(backend, heard) == [thought("ab"), signed("", "sig"), {"text": "c"}]


async def test_a_signature_before_and_after_everything_opens_a_text_of_its_own(backend: Backend) -> None:
    heard = await hear(
        backend, chunk(signed("", "one")), chunk(call(args={})), chunk(signed("", "two")), STOP
    )
    assert [type(end) for end in heard.ended] == [TextEnd, ToolCallEnd, TextEnd]
    wire = await contents(backend, said("go"), *turn_of(heard))
    assert [part.get("thoughtSignature") for part in wire[1]["parts"]] == [
        "one",
        "skip_thought_signature_validator",
        "two",
    ]


async def test_e50_of_parallel_calls_only_the_first_is_signed(backend: Backend) -> None:
    heard = await hear(backend, chunk(call(signature="sig", args={}), call("grep", args={})), STOP)
    wire = await contents(backend, said("go"), *turn_of(heard))
    assert [part.get("thoughtSignature") for part in wire[1]["parts"]] == ["sig", None]


async def test_signatures_go_back_to_their_own_model_only(backend: Backend) -> None:
    heard = await hear(
        backend, chunk(thought("a", "t"), signed("b", "s"), call(signature="c", args={})), STOP
    )
    history = [said("go"), *turn_of(heard)]
    own = (await contents(backend, *history))[1]["parts"]
    other = (await contents(backend, *history, model="gemini-3-flash"))[1]["parts"]
    older = (await contents(backend, *history, model="gemini-2.5-pro"))[1]["parts"]
    assert [part.get("thoughtSignature") for part in own] == ["t", "s", "c"]
    assert [part.get("thoughtSignature") for part in other] == [None, "skip_thought_signature_validator"]
    assert [part.get("thoughtSignature") for part in older] == [None, None]


async def test_e59_an_emoji_split_over_two_parts_is_joined(backend: Backend) -> None:
    heard = await hear(backend, chunk("a\ud83d"), chunk("\ude00b"), STOP)
    assert (heard.deltas, heard.notices) == (["a", "😀b"], [])


@pytest.mark.parametrize("part", ["a\ud83d", thought("a\ud83d")])
async def test_e59_half_a_character_is_replaced(backend: Backend, part: Any) -> None:
    heard = await hear(backend, chunk(part), chunk(call(args={})), STOP)
    assert (heard.text + "".join(reasoning(heard)), heard.notices) == ("a\ufffd", ["damaged_text"])


async def test_e59_bytes_that_are_not_utf8_are_replaced(backend: Backend) -> None:
    heard = await hear(backend, chunk("a@b").replace(b"@", b"\xff"), STOP)
    assert (heard.text, heard.notices) == ("a\ufffdb", ["damaged_text"])


async def test_e60_a_large_part_passes(backend: Backend) -> None:
    backend.answer(chunk("x" * 3_000_000) + STOP)
    assert len((await ask(backend)).text) == 3_000_000


async def test_code_that_the_vendor_ran_is_a_tool_of_its_own_and_goes_back(backend: Backend) -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1+1"}, "thoughtSignature": "sig"}
    outcome = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
    heard = await hear(backend, chunk("let me"), chunk(code), chunk(outcome), chunk("two"), STOP)
    assert [one[1:] for one in heard.hosted] == [("code_execution", "completed")]
    assert await model_parts(backend, heard) == [{"text": "let me"}, code, outcome, {"text": "two"}]


async def test_tools_of_the_vendor_are_matched_by_their_ids(backend: Backend) -> None:
    calls = [{"toolCall": {"id": one, "toolType": "GOOGLE_SEARCH_WEB", "args": {}}} for one in "ab"]
    results = [{"toolResponse": {"id": one, "toolType": "GOOGLE_SEARCH_WEB"}} for one in "bc"]
    heard = await hear(backend, chunk(*calls, *results), STOP)
    assert heard.hosted == [
        ("b", "google_search_web", "completed"),
        ("c", "google_search_web", "completed"),
        ("a", "google_search_web", "truncated"),
    ]
    failed = await hear(backend, chunk({"codeExecutionResult": {"outcome": "OUTCOME_FAILED"}}), STOP)
    assert [one[1:] for one in failed.hosted] == [("code_execution", "failed")]


async def test_generated_files_are_media(backend: Backend) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "s"}
    heard = await hear(backend, chunk("here: ", image), STOP)
    assert (heard.text, heard.media) == ("here: ", [("image/png", "aGk=")])
    assert heard.notices == ["opaque_dropped"]


async def test_sources_are_citations_of_the_text(backend: Backend) -> None:
    chunks = [{"web": {"uri": "https://a.example", "title": "A"}}, {"maps": {"uri": "https://m.example"}}, {}]
    support = {"segment": {"startIndex": 0, "endIndex": 3}, "groundingChunkIndices": [0]}
    grounding = {"groundingChunks": chunks, "groundingSupports": [support], "webSearchQueries": ["q"]}
    heard = await hear(
        backend,
        chunk("yes", groundingMetadata=grounding),
        chunk(groundingMetadata=grounding),
        chunk(
            citationMetadata={"citations": [{"uri": "https://c.example", "license": "mit"}]},
            urlContextMetadata={"urlMetadata": [{"retrievedUrl": "https://u.example"}]},
        ),
        STOP,
    )
    assert heard.cited == [
        (0, "web", "https://a.example", "A"),
        (0, "maps", "https://m.example", None),
        (0, "citation", "https://c.example", None),
        (0, "url_context", "https://u.example", None),
    ]
    assert heard.raw == [{"groundingMetadata": {"webSearchQueries": ["q"]}}]


async def test_what_we_have_no_word_for_goes_along_raw(backend: Backend) -> None:
    heard = await hear(
        backend,
        frame({"modelStatus": {"message": "old"}, "candidates": "x"}),
        frame({"candidates": [None, {"content": {"parts": [None, {"hologram": 1}, {}]}, "mood": "fine"}]}),
        frame({"candidates": [{"content": {"parts": [{"text": 5}]}}, {"content": []}]}),
        chunk("ok"),
        STOP,
    )
    assert heard.text == "ok"
    assert heard.raw == [
        {"modelStatus": {"message": "old"}},
        {"hologram": 1},
        {"mood": "fine"},
        {"text": 5},
    ]
