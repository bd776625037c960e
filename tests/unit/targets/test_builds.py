"""Which of the images that were built may go."""

from datetime import UTC, datetime, timedelta

from targets.builds import KEPT, UNUSED, Built, spare

NOW = datetime(2026, 1, 9, tzinfo=UTC)
LATE = 2 * UNUSED


def built(number: int, ago: timedelta) -> Built:
    return Built(f"rhone/built:{number}", f"sha256:{number}", NOW - ago)


def test_the_last_used_stay_however_long_ago_that_was() -> None:
    images = [built(number, LATE + timedelta(hours=number)) for number in range(KEPT + 2)]
    assert spare(images[:KEPT], (), NOW) == []
    assert spare(images[::-1], (), NOW) == ["rhone/built:8", "rhone/built:9"]


def test_what_was_used_within_a_day_stays_however_much_there_is() -> None:
    images = [built(number, timedelta(hours=number)) for number in range(30)]
    assert spare(images, (), NOW) == [f"rhone/built:{number}" for number in range(25, 30)]


def test_what_a_run_in_flight_may_need_stays() -> None:
    images = [built(number, LATE + timedelta(hours=number)) for number in range(KEPT + 2)]
    assert spare(images, {"sha256:8"}, NOW) == ["rhone/built:9"]
