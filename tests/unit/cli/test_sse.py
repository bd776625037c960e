"""The format of event streams, case by case after the web-platform tests of EventSource."""

import pytest

from cli.sse import EventStream, Message

CASES: list[tuple[str, bytes, list[Message]]] = [
    ("nothing", b"", []),
    ("only blank lines", b"\n\n\n", []),
    ("one event", b"data:test\n\n", [Message("test")]),
    ("a space after the colon goes", b"data: test\n\n", [Message("test")]),
    ("only the first space goes", b"data:  test\n\n", [Message(" test")]),
    ("a tab after the colon stays", b"data:\ttest\n\n", [Message("\ttest")]),
    ("trailing spaces stay", b"data:test \n\n", [Message("test ")]),
    ("two data lines are one event", b"data:one\ndata:two\n\n", [Message("one\ntwo")]),
    ("data without a colon is empty data", b"data\n\n", [Message("")]),
    (
        "empty data fields",
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [Message(""), Message("\n"), Message("test")],
    ),
    ("an event that is not ended by a blank line is dropped", b"data:test\n", []),
    ("so is one that the stream ends in", b"data:test", []),
    ("lines ended by CR", b"data:one\rdata:two\r\r", [Message("one\ntwo")]),
    ("lines ended by CRLF", b"data:one\r\ndata:two\r\n\r\n", [Message("one\ntwo")]),
    ("all ends mixed", b"data:a\rdata:b\ndata:c\r\n\ndata:d\r\n\r", [Message("a\nb\nc"), Message("d")]),
    ("CR CR LF ends two lines", b"data:a\r\r\ndata:b\n\n", [Message("a"), Message("b")]),
    ("a comment", b":hello\n\ndata:x\n\n", [Message("x")]),
    ("an empty comment", b":\ndata:x\n:\n\n", [Message("x")]),
    ("a comment inside an event", b"data:1\n:comment\ndata:2\n\n", [Message("1\n2")]),
    ("a very long comment", b"data:1\n:" + b"x" * 100_000 + b"\ndata:2\n\n", [Message("1\n2")]),
    ("a BOM goes once", b"\xef\xbb\xbfdata:1\n\n", [Message("1")]),
    (
        "a second BOM is part of a field's name",
        b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n",
        [Message("2")],
    ),
    ("a BOM later is part of a field's name", b"data:1\n\n\xef\xbb\xbfdata:2\n\n", [Message("1")]),
    ("an event's name", b"event:test\ndata:x\n\n", [Message("x", event="test")]),
    ("a name is for one event", b"event:a\ndata:1\n\ndata:2\n\n", [Message("1", event="a"), Message("2")]),
    ("an empty name is message", b"event: \ndata:data\n\n", [Message("data")]),
    ("a name alone sends nothing", b"event:test\n\ndata:x\n\n", [Message("x")]),
    ("the last name counts", b"event:a\nevent:b\ndata:x\n\n", [Message("x", event="b")]),
    ("an unknown name with a space in front", b" data:x\ndata:y\n\n", [Message("y")]),
    ("fields are lower case", b"Data:x\nDATA:y\ndata:z\n\n", [Message("z")]),
    (
        "unknown fields are ignored",
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisis\n\n",
        [Message("test\n")],
    ),
    (
        "field parsing",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
        b"data:3\rdata:\r\n data:32\ndata:4\n\n",
        [Message("\0\n 2\n1\n3\n\n4")],
    ),
    ("an id", b"id:1\ndata:x\n\n", [Message("x", id="1")]),
    (
        "an id stays for later events",
        b"id:1\ndata:x\n\ndata:y\n\n",
        [Message("x", id="1"), Message("y", id="1")],
    ),
    ("an empty id takes it back", b"id:1\ndata:x\n\nid\ndata:y\n\n", [Message("x", id="1"), Message("y")]),
    (
        "an id with NUL is ignored",
        b"id:1\ndata:x\n\nid:2\0\ndata:y\n\n",
        [Message("x", id="1"), Message("y", id="1")],
    ),
    ("an id alone counts for later events", b"id:7\n\ndata:x\n\n", [Message("x", id="7")]),
    ("ids of any characters", "id:…\ndata:x\n\n".encode(), [Message("x", id="…")]),
    ("characters of four bytes", "data:ok…𝒳\n\n".encode(), [Message("ok…𝒳")]),
    ("bytes that are no UTF-8 are replaced", b"data:ok\xff\xc3\n\n", [Message("ok\ufffd\ufffd")]),
    ("a NUL in data stays", b"data:\0\n\n", [Message("\0")]),
    ("a colon in the value stays", b"data:a:b: c\n\n", [Message("a:b: c")]),
    ("JSON", b'event: run.started\nid: 3\ndata: {"seq": 3}\n\n', [Message('{"seq": 3}', "run.started", "3")]),
]


@pytest.mark.parametrize(
    ("stream", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_format(stream: bytes, expected: list[Message]) -> None:
    assert list(EventStream().feed(stream)) == expected


@pytest.mark.parametrize(
    ("stream", "expected"), [case[1:] for case in CASES if len(case[1]) < 1000], ids=lambda _: ""
)
def test_the_format_cut_at_every_byte(stream: bytes, expected: list[Message]) -> None:
    for size in (1, 2, 3, 5):
        parser = EventStream()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [message for piece in pieces for message in parser.feed(piece)] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"retry:3000", 3000),
        (b"retry: 03000", 3000),
        (b"retry:", None),
        (b"retry", None),
        (b"retry:1000x", None),
        (b"retry:-1", None),
        (b"retry:1.5", None),
        ("retry:٣".encode(), None),
    ],
)
def test_retry_takes_ascii_digits_only(line: bytes, expected: int | None) -> None:
    parser = EventStream()
    list(parser.feed(line + b"\ndata:x\n\n"))
    assert parser.retry_ms == expected


def test_an_id_counts_for_resuming_only_once_its_event_is_whole() -> None:
    parser = EventStream()
    list(parser.feed(b"id:1\ndata:x\n\nid:2\ndata:y\n"))
    assert parser.last_event_id == "1"
    list(parser.feed(b"\n"))
    assert parser.last_event_id == "2"
