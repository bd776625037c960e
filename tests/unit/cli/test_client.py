"""The client against a real small server: resumed streams, refusals, silence."""

import re
import socket

import pytest

from cli.client import Client
from cli.failure import Failure, Refused, Unreachable
from tests.unit.cli.event_server import RUN, Answer, events, frame, last_event_id, serving, stream, told


def client(url: str, waits: list[float] | None = None, patience: float = 60) -> Client:
    return Client(url, "rhone_sk_test", patience=patience, wait=(waits if waits is not None else []).append)


ALL = events(500)
FRAMES = [frame(event) for event in ALL]
CLASSES = {
    "before anything": lambda f: 0,
    "inside the word id": lambda f: 1,
    "inside the id": lambda f: 5,
    "between id and event": lambda f: f.index(b"\n") + 1,
    "between id and data": lambda f: f.index(b"data:"),
    "inside a name": lambda f: f.index(b"data:") + 2,
    "inside a line": lambda f: f.index(b"seq"),
    "inside a character": lambda f: f.index("𝒳".encode()) + 2,
    "before the line's end": lambda f: len(f) - 2,
    "before the blank line": lambda f: len(f) - 1,
    "after the blank line": lambda f: len(f),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["closed", "broken off"])
@pytest.mark.parametrize("where", CLASSES)
def test_a_stream_cut_again_and_again_is_told_whole(where: str, chunked: bool) -> None:
    def answer(attempt: int, head: str) -> Answer:
        after = last_event_id(head)
        if after + 49 >= 500:
            return stream(b"".join(FRAMES[after:]), chunked=chunked)
        whole, last = FRAMES[after : after + 49], FRAMES[after + 49]
        body = b"".join(whole) + last[: CLASSES[where](last)]
        return stream(body, chunked=chunked)[: -5 if chunked else None]

    with serving(answer) as server, client(server.url) as connected:
        assert list(connected.events(RUN)) == ALL


def test_a_short_stream_cut_at_every_byte_is_told_whole() -> None:
    short = events(4)
    cuts = iter(range(len(b"".join(map(frame, short))) + 13))
    turns: list[int | None] = []

    def answer(attempt: int, head: str) -> Answer:
        rest = b"".join(map(frame, short[last_event_id(head) :]))
        return stream(rest, cut=turns.pop() if turns else None)

    with serving(answer) as server, client(server.url) as connected:
        for cut in cuts:
            turns.append(cut)
            assert list(connected.events(RUN)) == short


def test_a_client_that_goes_on_asks_for_what_comes_after() -> None:
    def answer(attempt: int, head: str) -> Answer:
        return stream(b"".join(FRAMES[last_event_id(head) :]))

    with serving(answer) as server, client(server.url) as connected:
        assert list(connected.events(RUN, after=498)) == ALL[498:]
        assert re.search(r"(?i)last-event-id: 498\r\n", server.heads[0])


def test_nothing_after_the_last_event_is_no_error() -> None:
    with serving(lambda *_: b"HTTP/1.1 204 No Content\r\n\r\n") as server, client(server.url) as connected:
        assert list(connected.events(RUN, after=500)) == []


def test_an_event_that_comes_twice_is_told_once() -> None:
    with serving(lambda *_: stream(b"".join(FRAMES[:3] + FRAMES))) as server, client(server.url) as connected:
        assert list(connected.events(RUN)) == ALL


def test_a_stream_that_jumps_is_refused() -> None:
    with (
        serving(lambda *_: stream(FRAMES[0] + FRAMES[2])) as server,
        client(server.url) as connected,
        pytest.raises(Failure, match="jumps from 1 to 3"),
    ):
        list(connected.events(RUN))


def test_back_pressure_is_waited_out_as_long_as_it_says() -> None:
    full = {"type": "rate_limit_error", "code": "quota.streams", "message": "full", "retry_after": 3}

    def answer(attempt: int, head: str) -> Answer:
        return told(429, full) if attempt == 1 else stream(b"".join(FRAMES))

    waits: list[float] = []
    with serving(answer) as server, client(server.url, waits) as connected:
        assert list(connected.events(RUN)) == ALL
    assert waits == [3]


def test_events_that_are_gone_are_an_error_and_not_a_jump() -> None:
    gone = {"type": "gone_error", "code": "run.events_expired", "message": "kept from 100 on"}
    with (
        serving(lambda *_: told(410, gone)) as server,
        client(server.url) as connected,
        pytest.raises(Refused, match=r"kept from 100 on: run\.events_expired"),
    ):
        list(connected.events(RUN, after=3))


def test_a_stream_that_never_comes_back_ends_in_unreachable() -> None:
    with (
        serving(lambda *_: None) as server,
        client(server.url, patience=0) as connected,
        pytest.raises(Unreachable) as told_so,
    ):
        list(connected.events(RUN))
    assert told_so.value.exit_code == 3


def test_a_refusal_reads_as_one_line_with_its_field_and_code() -> None:
    error = {
        "type": "invalid_request_error",
        "code": "request.invalid_field",
        "message": "no",
        "param": "input",
    }
    with (
        serving(lambda *_: told(400, error)) as server,
        client(server.url) as connected,
        pytest.raises(Refused) as refused,
    ):
        connected.post("/v1/runs", {})
    assert (refused.value.message, refused.value.exit_code) == ("no (input): request.invalid_field", 1)


def test_what_is_not_rhone_is_told_as_such() -> None:
    with (
        serving(lambda *_: b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nhi") as server,
        client(server.url) as one,
        pytest.raises(Refused, match=r"status 404 .*hi: cli\.not_rhone"),
    ):
        one.get("/v1/runs")


def test_an_address_where_nobody_listens_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with client(url) as connected, pytest.raises(Unreachable, match="nobody answers at http"):
        connected.get("/v1/runs")


def test_a_list_is_read_page_after_page() -> None:
    def answer(attempt: int, head: str) -> Answer:
        second = "cursor=c2" in head
        items, cursor = ('[{"id": "3"}]', "null") if second else ('[{"id": "1"}, {"id": "2"}]', '"c2"')
        body = f'{{"items": {items}, "next_cursor": {cursor}}}'.encode()
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with serving(answer) as server, client(server.url) as connected:
        assert [item["id"] for item in connected.items("/v1/runs", status="failed")] == ["1", "2", "3"]
        assert "limit=50&status=failed" in server.heads[0]
        assert [item["id"] for item in connected.items("/v1/runs", most=1)] == ["1"]
