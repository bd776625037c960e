"""Server-sent events from any bytes in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.sse import Comment, Frame, FrameTooLong, Parser

FRAMES: list[tuple[bytes, list[Frame | Comment]]] = [
    (b"data: a\n\n", [Frame("a")]),
    (b"data:a\n\n", [Frame("a")]),
    (b"data:  a\n\n", [Frame(" a")]),
    (b"data: a\ndata: b\n\n", [Frame("a\nb")]),
    (b"data: a\ndata\ndata: b\n\n", [Frame("a\n\nb")]),
    (b"data: a\r\r", [Frame("a")]),
    (b"data: a\r\n\r\n", [Frame("a")]),
    (b"data: a\r\ndata: b\rdata: c\n\n", [Frame("a\nb\nc")]),
    (b"data: a\n\r\n", [Frame("a")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Frame("a")]),
    (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Frame("b")]),
    (b"data: \xef\xbb\xbfa\n\n", [Frame("\ufeffa")]),
    (b": hello\n\n:\n\n", [Comment(), Comment()]),
    (b": a\ndata: b\n\n", [Comment(), Frame("b")]),
    (b"event: error\ndata: a\n\ndata: b\n\n", [Frame("a", "error"), Frame("b")]),
    (b"event: x\n\ndata: b\n\n", [Frame("b")]),
    (b"event:\ndata: b\n\n", [Frame("b")]),
    (b"data\n\n", [Frame("")]),
    (b"data:\n\n", [Frame("")]),
    (b"data:\ndata:\n\n", [Frame("\n")]),
    (b"id: 1\nretry: 5\nother: x\nda ta: y\n\n", []),
    (b"data: a: b\n\n", [Frame("a: b")]),
    (b" data: a\n\n", []),
    (b"DATA: a\n\n", []),
    (b"\n\n\n\ndata: a\n\n\n\n", [Frame("a")]),
    ("data: é漢😀\n\n".encode(), [Frame("é漢😀")]),
    (b"data: a\x00b\n\n", [Frame("a\x00b")]),
    (b"data: a\xffb\n\n", [Frame("a\ufffdb", damaged=True)]),
    (b"data: a\xe6\xbc\n\ndata: b\n\n", [Frame("a\ufffd", damaged=True), Frame("b")]),
    (b"data: a", []),
    (b"data: a\n", []),
]


def parsed(*pieces: bytes) -> list[Frame | Comment]:
    parser = Parser()
    return [one for piece in pieces for one in parser.feed(piece)]


@pytest.mark.parametrize(("wire", "frames"), FRAMES)
def test_frames_are_dispatched_as_the_standard_says(wire: bytes, frames: list[Frame | Comment]) -> None:
    assert parsed(wire) == frames


@pytest.mark.parametrize(("wire", "frames"), FRAMES)
def test_a_split_at_any_byte_changes_nothing(wire: bytes, frames: list[Frame | Comment]) -> None:
    for cut in range(len(wire) + 1):
        assert parsed(wire[:cut], b"", wire[cut:]) == frames
    assert parsed(*(bytes([byte]) for byte in wire)) == frames


CASES: list[tuple[str, bytes, list[Frame]]] = [
    ("nothing", b"", []),
    ("only blank lines", b"\n\n\n", []),
    ("one event", b"data:test\n\n", [Frame("test")]),
    ("a space after the colon goes", b"data: test\n\n", [Frame("test")]),
    ("only the first space goes", b"data:  test\n\n", [Frame(" test")]),
    ("a tab after the colon stays", b"data:\ttest\n\n", [Frame("\ttest")]),
    ("trailing spaces stay", b"data:test \n\n", [Frame("test ")]),
    ("two data lines are one event", b"data:one\ndata:two\n\n", [Frame("one\ntwo")]),
    ("data without a colon is empty data", b"data\n\n", [Frame("")]),
    (
        "empty data fields",
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [Frame(""), Frame("\n"), Frame("test")],
    ),
    ("an event that is not ended by a blank line is dropped", b"data:test\n", []),
    ("so is one that the stream ends in", b"data:test", []),
    ("lines ended by CR", b"data:one\rdata:two\r\r", [Frame("one\ntwo")]),
    ("lines ended by CRLF", b"data:one\r\ndata:two\r\n\r\n", [Frame("one\ntwo")]),
    ("all ends mixed", b"data:a\rdata:b\ndata:c\r\n\ndata:d\r\n\r", [Frame("a\nb\nc"), Frame("d")]),
    ("CR CR LF ends two lines", b"data:a\r\r\ndata:b\n\n", [Frame("a"), Frame("b")]),
    ("a comment", b":hello\n\ndata:x\n\n", [Frame("x")]),
    ("an empty comment", b":\ndata:x\n:\n\n", [Frame("x")]),
    ("a comment inside an event", b"data:1\n:comment\ndata:2\n\n", [Frame("1\n2")]),
    ("a very long comment", b"data:1\n:" + b"x" * 100_000 + b"\ndata:2\n\n", [Frame("1\n2")]),
    ("a BOM goes once", b"\xef\xbb\xbfdata:1\n\n", [Frame("1")]),
    (
        "a second BOM is part of a field's name",
        b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n",
        [Frame("2")],
    ),
    ("a BOM later is part of a field's name", b"data:1\n\n\xef\xbb\xbfdata:2\n\n", [Frame("1")]),
    ("an event's name", b"event:test\ndata:x\n\n", [Frame("x", event="test")]),
    ("a name is for one event", b"event:a\ndata:1\n\ndata:2\n\n", [Frame("1", event="a"), Frame("2")]),
    ("an empty name is message", b"event: \ndata:data\n\n", [Frame("data")]),
    ("a name alone sends nothing", b"event:test\n\ndata:x\n\n", [Frame("x")]),
    ("the last name counts", b"event:a\nevent:b\ndata:x\n\n", [Frame("x", event="b")]),
    ("an unknown name with a space in front", b" data:x\ndata:y\n\n", [Frame("y")]),
    ("fields are lower case", b"Data:x\nDATA:y\ndata:z\n\n", [Frame("z")]),
    (
        "unknown fields are ignored",
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisis\n\n",
        [Frame("test\n")],
    ),
    (
        "field parsing",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
        b"data:3\rdata:\r\n data:32\ndata:4\n\n",
        [Frame("\0\n 2\n1\n3\n\n4")],
    ),
    ("an id", b"id:1\ndata:x\n\n", [Frame("x", id="1")]),
    (
        "an id stays for later events",
        b"id:1\ndata:x\n\ndata:y\n\n",
        [Frame("x", id="1"), Frame("y", id="1")],
    ),
    ("an empty id takes it back", b"id:1\ndata:x\n\nid\ndata:y\n\n", [Frame("x", id="1"), Frame("y")]),
    (
        "an id with NUL is ignored",
        b"id:1\ndata:x\n\nid:2\0\ndata:y\n\n",
        [Frame("x", id="1"), Frame("y", id="1")],
    ),
    ("an id alone counts for later events", b"id:7\n\ndata:x\n\n", [Frame("x", id="7")]),
    ("ids of any characters", "id:…\ndata:x\n\n".encode(), [Frame("x", id="…")]),
    ("characters of four bytes", "data:ok…𝒳\n\n".encode(), [Frame("ok…𝒳")]),
    ("bytes that are no UTF-8 are replaced", b"data:ok\xff\xc3\n\n", [Frame("ok\ufffd\ufffd", damaged=True)]),
    ("a NUL in data stays", b"data:\0\n\n", [Frame("\0")]),
    ("a colon in the value stays", b"data:a:b: c\n\n", [Frame("a:b: c")]),
    ("JSON", b'event: run.started\nid: 3\ndata: {"seq": 3}\n\n', [Frame('{"seq": 3}', "run.started", "3")]),
]


@pytest.mark.parametrize(
    ("stream", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_format_is_that_of_event_source(stream: bytes, expected: list[Frame]) -> None:
    """Case by case after the web-platform tests of EventSource."""
    assert [one for one in parsed(stream) if isinstance(one, Frame)] == expected
    for size in (1, 2, 3, 5) if len(stream) < 1000 else ():
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [one for one in parsed(*pieces) if isinstance(one, Frame)] == expected


def test_the_unterminated_last_frame_is_handed_out_at_the_end() -> None:
    for wire in (b"data: a", b"data: a\n", b"data: a\r", b"data: a\r\n"):
        parser = Parser()
        assert parser.feed(wire) == []
        assert parser.end() == Frame("a")
        assert parser.end() is None
    assert Parser().end() is None


def test_a_frame_over_the_limit_is_refused_however_it_comes() -> None:
    for pieces in (
        [b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: "] + [b"x"] * 100,
        [b"data: xxxxxxxxxx\n"] * 10,
        [b"x" * 101],
    ):
        with pytest.raises(FrameTooLong):
            parser = Parser(limit=64)
            for piece in pieces:
                parser.feed(piece)
    assert [one for _ in range(100) for one in Parser(limit=64).feed(b"data: x\n\n: note\n")]


lines = st.one_of(
    st.sampled_from(
        [b"", b"data", b"data:", b": c", b"event: e", b"id: 1", b"\xef\xbb\xbf", b"data: [DONE]"]
    ),
    st.text(alphabet="aé漢😀:\ufeff ", max_size=8).map(lambda text: b"data: " + text.encode()),
    st.binary(max_size=8).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
)


@given(st.lists(lines, max_size=12), st.sampled_from([b"\n", b"\r", b"\r\n"]), st.data())
def test_pieces_and_line_ends_never_matter(rows: list[bytes], end: bytes, data: st.DataObject) -> None:
    wire = b"".join(row + end for row in rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert parsed(*pieces) == parsed(b"".join(row + b"\n" for row in rows))
