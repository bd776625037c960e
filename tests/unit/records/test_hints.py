"""Hints in one process and between processes of one machine."""

import asyncio
import os
from pathlib import Path

from protocol.ids import RunId
from records.hints import LocalHints, decode, encode
from records.machine_hints import MachineHints

R1, R2 = RunId("run_1"), RunId("run_2")


async def test_a_subscriber_hears_only_what_it_asked_for_and_only_what_is_new() -> None:
    hints = LocalHints()
    await hints.start()
    with hints.subscribe(("events", R1)) as grown:
        hints.publish({("events", R2): 9, ("inbox", R1): 9})
        assert not await grown.wait(0, 0.02)
        hints.publish({("events", R1): 3})
        assert await grown.wait(2, 5)
        assert not await grown.wait(3, 0.02)
        hints.publish({("events", R1): 2})
        assert not await grown.wait(3, 0.02)
        assert grown.number == 3
    hints.publish({("events", R1): 4})
    await asyncio.sleep(0)
    assert grown.number == 3


async def test_a_hint_published_before_the_wait_is_not_missed() -> None:
    hints = LocalHints()
    await hints.start()
    with hints.subscribe(("events", R1)) as grown:
        await asyncio.to_thread(hints.publish, {("events", R1): 1})
        assert await grown.wait(0, 5)


def test_hints_survive_their_encoding_in_pieces_of_the_asked_size() -> None:
    hints = {("events", RunId(f"run_{number}")): number for number in range(500)} | {("inbox", R1): 7}
    messages = encode(hints, 1_000)
    assert max(map(len, messages)) <= 1_000
    assert {topic: number for message in messages for topic, number in decode(message).items()} == hints


def test_what_is_not_a_hint_tells_nothing() -> None:
    for noise in (b"", b"\xff", b"{}", b"[1]", b'[["x","run_1",1]]', b'[["e","run_1","z"]]', b"[[[]]]"):
        assert decode(noise) == {}


async def test_every_listener_of_a_machine_hears_and_a_dead_one_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40) / "hints"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "dead")
    speaker, listeners = MachineHints(folder), [MachineHints(folder) for _ in range(3)]
    for bus in (*listeners, speaker):
        await bus.start()
    subscriptions = [bus.subscribe(("inbox", R1)) for bus in (*listeners, speaker)]
    heard = [subscription.__enter__() for subscription in subscriptions]
    await asyncio.to_thread(speaker.publish, {("inbox", R1): 1, ("events", R2): 5})
    assert all(await asyncio.gather(*(grown.wait(0, 5) for grown in heard)))
    assert not (folder / "dead").exists()
    for bus in (*listeners, speaker):
        await bus.close()
    assert list(folder.iterdir()) == []
    speaker.publish({("inbox", R1): 2})


async def test_a_listener_that_is_far_behind_gets_the_newest_numbers(tmp_path: Path) -> None:
    speaker, listener = MachineHints(tmp_path), MachineHints(tmp_path)
    await listener.start()
    with listener.subscribe(("events", R1)) as grown:
        for number in range(1, 20_001):
            speaker.publish({("events", R1): number})
        assert await grown.wait(0, 5)
        speaker.publish({("events", R2): 1})
        assert await grown.wait(19_999, 5)
    await listener.close()
    await speaker.close()
