"""Server-sent events from any bytes in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sse import Comment, Frame, FrameTooLong, Parser

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
    (b"data\n\n", []),
    (b"data:\n\n", []),
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
