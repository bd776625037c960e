"""Limits: of a run, merged from what is said about it; of those who bring no key."""

import asyncio

import pytest

from gateway.admission import merged
from gateway.auth import Buckets
from gateway.metrics import Metrics
from gateway.room import Room
from protocol.errors import RateLimited
from protocol.run import Limits, LimitsPatch


def test_the_later_word_wins_and_silence_changes_nothing() -> None:
    session = LimitsPatch(max_turns=7, max_tokens=100)
    asked = LimitsPatch(max_turns=0, parallel_tools=False)
    assert merged(Limits(), session, None, asked) == Limits(max_turns=0, max_tokens=100, parallel_tools=False)


def test_an_address_has_its_own_bucket_and_many_addresses_cost_little() -> None:
    buckets = Buckets(per_second=0.001, burst=2, most=3)
    for _ in range(2):
        buckets.take("a")
    with pytest.raises(RateLimited):
        buckets.take("a")
    for address in ("b", "c", "d"):
        buckets.take(address)
    buckets.take("a")


async def test_a_place_is_given_back_once_as_what_it_has_become() -> None:
    from starlette.requests import Request

    room = Room(1, 1, Metrics())
    scope = {"type": "http"}
    place = room.place(Request(scope))
    place.to_stream()
    place.to_stream()
    other = room.place(Request({"type": "http"}))
    with pytest.raises(RateLimited):
        other.to_stream()
    with pytest.raises(RateLimited):
        room.place(Request({"type": "http"}))
    place.leave()
    other.to_stream()
    other.leave()
    async with asyncio.timeout(30):
        await room.emptied()
