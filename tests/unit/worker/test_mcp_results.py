"""A server's result as text: parts in their order, what is no text named, nothing that a terminal obeys."""

from protocol.mcp import Said
from worker.act import SHOWN_TO_MODEL
from worker.mcp_results import shown


def test_parts_stand_in_their_order_and_what_is_no_text_is_named() -> None:
    said = Said(
        content=(
            {"type": "text", "text": "one"},
            {"type": "image", "mimeType": "image/png", "data": "AAAA"},
            {"type": "resource_link", "uri": "note://one"},
            {"type": "resource", "resource": {"uri": "note://two", "text": "two"}},
            {"type": "resource", "resource": {"uri": "note://three", "blob": "AA", "mimeType": "x/y"}},
            {"type": "later", "what": 1},
        )
    )
    lines = shown(said).split("\n")
    assert lines[0] == "one"
    assert lines[1].startswith("[image, image/png, 4 characters of base64, sha256:")
    assert lines[2:5] == ["[link to note://one]", "[note://two]", "two"]
    assert lines[5].startswith("[note://three, x/y, 2 characters of base64, sha256:")
    assert lines[6] == "[later: not shown]"


def test_structured_content_is_shown_where_there_is_no_text() -> None:
    assert shown(Said(content=(), structured={"n": [1, "é"]})) == '{"n": [1, "é"]}'
    assert shown(Said(content=({"type": "text", "text": "t"},), structured={"n": 1})) == "t"
    assert shown(Said(content=())) == "(nothing)"


def test_what_a_terminal_would_obey_is_written_out_and_length_is_cut() -> None:
    said = Said(content=({"type": "text", "text": "a\x1b[2Kb\u202ec\n\td"},))
    assert shown(said) == "a\\u{1b}[2Kb\\u{202e}c\n\td"
    long = shown(Said(content=({"type": "text", "text": "x" * 1_000_000},)))
    assert len(long) < SHOWN_TO_MODEL + 200
    assert "[... cut: 1000000 bytes in all" in long
