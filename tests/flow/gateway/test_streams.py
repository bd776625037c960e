"""Event streams: replayed from a cursor, followed without a gap, ended after the end, cheap for the slow."""

import asyncio
import socket
from typing import Any

import httpx2

from protocol.event import ResponseDelta
from protocol.ids import CallId, RunId
from records import events, run_end
from tests.flow.gateway.house import House, completed, error_of, frames_of, house

SSE = {"Accept": "text/event-stream"}
CALL = CallId("call_1")


def delta(text: str) -> ResponseDelta:
    return ResponseDelta(call_id=CALL, attempt=1, block=0, delta=text)


async def streamed(client: httpx2.AsyncClient, run_id: RunId, **headers: str) -> list[int]:
    """The ids of a stream that is read to its end."""
    answer = await client.get(f"/v1/runs/{run_id}/events", headers={**SSE, **headers})
    assert answer.status_code == 200, answer.text
    return [seq for seq, _, _ in frames_of(answer.text)]


async def test_a_stream_replays_then_follows_to_the_end(home: House) -> None:
    run_id = await home.start()
    await home.append(run_id, *(delta(str(number)) for number in range(600)))
    reading = asyncio.create_task(streamed(home.client, run_id))
    for number in range(20):
        await home.append(run_id, delta(f"live {number}"))
    await home.end(run_id)
    assert await reading == list(range(1, 2 + 600 + 20 + 1 + 1))


async def test_a_client_that_comes_back_gets_the_rest(home: House) -> None:
    run_id = await home.start()
    await home.append(run_id, *(delta("x") for _ in range(10)))
    await home.end(run_id)
    assert await streamed(home.client, run_id) == list(range(1, 14))
    assert await streamed(home.client, run_id, **{"Last-Event-ID": "7"}) == list(range(8, 14))
    assert await streamed(home.client, run_id, **{"Last-Event-ID": "0"}) == list(range(1, 14))
    over = await home.client.get(f"/v1/runs/{run_id}/events", headers={**SSE, "Last-Event-ID": "13"})
    assert (over.status_code, over.content) == (204, b"")


async def test_the_header_beats_the_parameter(home: House) -> None:
    run_id = await home.start()
    await home.end(run_id)
    answer = await home.client.get(
        f"/v1/runs/{run_id}/events", params={"after_seq": "0"}, headers={**SSE, "Last-Event-ID": "2"}
    )
    assert [seq for seq, _, _ in frames_of(answer.text)] == [3]


HOSTILE = [
    *("-1", "+1", "1.0", "1e3", "0x1", "a", "9999999999999999999", str(2**63), str(2**64)),
    *("1" * 10_000, "1;2", "1,2", "\u0661", "'; DROP TABLE events", "../2", "%00", "null", "1 1"),
    *("sess_01m7z49h8gekkkvqm40akpv3q3:4", "999999999999999999", "4"),
]


async def test_a_cursor_that_was_never_given_out_is_refused(home: House) -> None:
    run_id = await home.start()
    await home.append(run_id, delta("x"))
    path = f"/v1/runs/{run_id}/events"
    for cursor in (*HOSTILE, " ", "", "1\n", "1\x00"):
        for headers in ({}, SSE):
            answer = await home.client.get(path, params={"after_seq": cursor}, headers=headers)
            assert error_of(answer)[:2] == (400, "run.cursor_invalid"), cursor
    for cursor in HOSTILE:
        answer = await home.client.get(path, headers={**SSE, "Last-Event-ID": cursor.encode()})
        assert error_of(answer)[:2] == (400, "run.cursor_invalid"), cursor


async def test_bytes_that_are_no_header_never_reach_a_stream(home: House) -> None:
    run_id = await home.start()
    for raw in (b"1\x00", b"\x00", b"\x01", b"1\n2"):
        answer = await asyncio.to_thread(_asked_plainly, home, run_id, b"Last-Event-ID: " + raw)
        assert answer.startswith(b"HTTP/1.1 400 "), raw


async def test_a_cursor_below_what_is_kept_is_gone(home: House) -> None:
    run_id = await home.start()
    await home.append(run_id, *(delta("x") for _ in range(10)))
    await home.commit(lambda tx: events.trim(tx, run_id, 6), run_id)
    await home.end(run_id)
    for cursor in ("0", "1", "4"):
        for headers in ({"Last-Event-ID": cursor}, {**SSE, "Last-Event-ID": cursor}):
            answer = await home.client.get(f"/v1/runs/{run_id}/events", headers=headers)
            assert error_of(answer)[:2] == (410, "run.events_expired")
            assert answer.json()["error"]["details"]["first_seq"] == 6
    assert await streamed(home.client, run_id, **{"Last-Event-ID": "5"}) == list(range(6, 14))


async def test_a_page_of_events_leads_to_the_next(home: House) -> None:
    run_id = await home.start()
    await home.append(run_id, *(delta(str(number)) for number in range(8)))
    seen: list[dict[str, Any]] = []
    params: dict[str, str] = {"limit": "4"}
    while True:
        page = (await home.client.get(f"/v1/runs/{run_id}/events", params=params)).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert [event["seq"] for event in seen] == list(range(1, 11))
    assert seen[0]["type"] == "run.created"


async def test_a_quiet_stream_says_that_it_is_there(tmp_path: Any) -> None:
    async with house(tmp_path / "data", ping_s=0.05) as home:
        run_id = await home.start()
        async with home.client.stream("GET", f"/v1/runs/{run_id}/events", headers=SSE) as answer:
            seen = b""
            async with asyncio.timeout(60):
                async for chunk in answer.aiter_bytes():
                    seen += chunk
                    if seen.count(b": ping\n\n") == 3:
                        break


async def test_many_watchers_cost_one_reader(home: House) -> None:
    run_id = await home.start()
    readers = [asyncio.create_task(streamed(home.client, run_id)) for _ in range(30)]
    await _until(lambda: home.gateway.feed.watchers(run_id) == 30)
    assert home.gateway.feed.followed() == [run_id]
    await home.append(run_id, *(delta("x") for _ in range(50)))
    await home.end(run_id)
    expected = list(range(1, 54))
    assert await asyncio.gather(*readers) == [expected] * 30
    await _until(lambda: home.gateway.feed.followed() == [])


async def test_a_client_that_leaves_is_forgotten(home: House) -> None:
    run_id = await home.start()
    async with home.client.stream("GET", f"/v1/runs/{run_id}/events", headers=SSE):
        await _until(lambda: home.gateway.feed.watchers(run_id) == 1)
    await _until(lambda: home.gateway.feed.followed() == [])
    assert "rhone_gateway_streams_open 0.0" in (await home.client.get("/metrics")).text


async def test_a_slow_reader_reads_from_the_records_and_misses_nothing(home: House) -> None:
    """It stops reading while the ring turns over many times, and then reads all."""
    run_id = await home.start()
    text = "x" * 20_000
    url = home.client.base_url
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        plain.connect((url.host, url.port or 0))
        plain.sendall(_request(home, run_id, b"Accept: text/event-stream"))
        await _until(lambda: home.gateway.feed.watchers(run_id) == 1)
        for _ in range(20):
            await home.append(run_id, *(delta(text) for _ in range(10)))
        await home.end(run_id)
        answer = await asyncio.to_thread(_all_of, plain)
    seen = [int(line[4:]) for line in answer.split(b"\n") if line.startswith(b"id: ")]
    assert seen == list(range(1, 2 + 200 + 1 + 1))


async def test_a_gateway_that_stops_ends_its_streams_and_takes_nothing_new(home: House) -> None:
    run_id = await home.start()
    async with home.client.stream("GET", f"/v1/runs/{run_id}/events", headers=SSE) as answer:
        await _until(lambda: home.gateway.feed.watchers(run_id) == 1)
        home.server.stop()
        text = (await answer.aread()).decode()
    assert [seq for seq, _, _ in frames_of(text)] == [1, 2]
    async with home.anonymous() as other:
        ready = await other.get("/readyz")
        assert (ready.status_code, list(ready.json()["missing"])) == (503, ["gateway"])
        assert error_of(await other.get("/v1/runs"))[:2] == (503, "run.draining")


async def test_a_stream_looks_again_where_a_hint_is_lost(home: House) -> None:
    """A commit whose process dies before it can hint is found by looking."""
    run_id = await home.start()
    reading = asyncio.create_task(streamed(home.client, run_id))
    await _until(lambda: home.gateway.feed.watchers(run_id) == 1)
    await home.quietly(lambda tx: tx.append(run_id, delta("x")), run_id)
    await home.quietly(lambda tx: run_end.end(tx, run_id, completed()), run_id)
    async with asyncio.timeout(60):
        assert await reading == [1, 2, 3, 4]


def _asked_plainly(home: House, run_id: RunId, header: bytes) -> bytes:
    url = home.client.base_url
    with socket.create_connection((url.host, url.port or 0)) as plain:
        plain.sendall(_request(home, run_id, header))
        return _all_of(plain)


def _request(home: House, run_id: RunId, *more: bytes) -> bytes:
    key = home.client.headers["authorization"].encode()
    first = b"GET /v1/runs/%b/events HTTP/1.1" % run_id.encode()
    lines = (first, b"Host: x", b"Authorization: " + key, b"Connection: close", *more)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _all_of(plain: socket.socket) -> bytes:
    plain.settimeout(20)
    whole = b""
    while chunk := plain.recv(65_536):
        whole += chunk
    return whole


async def _until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)
