"""How long a vendor asks us to wait, whichever way it says so."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_IN_TEXT = re.compile(r"(?:try again|retry)\s+(?:in|after)\s+(\d+(?:\.\d+)?)\s*(ms|s|m)\w*", re.IGNORECASE)
_UNITS = {"ms": 1, "s": 1000, "m": 60_000}
_LONGEST_MS = 7 * 24 * 3_600_000


def retry_after_ms(headers: Mapping[str, str], message: str, *, now: datetime) -> int | None:
    """`retry-after-ms`, else `retry-after` (seconds or a date), else what the message says."""
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return _bounded(exact)
    told = headers.get("retry-after")
    seconds = _number(told)
    if seconds is not None:
        return _bounded(seconds * 1000)
    moment = _date(told)
    if moment is not None:
        return _bounded((moment - now).total_seconds() * 1000)
    found = _IN_TEXT.search(message)
    return None if found is None else _bounded(float(found[1]) * _UNITS[found[2].lower()])


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """`x-should-retry`: the vendor knows better than its status."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _bounded(milliseconds: float) -> int:
    return int(min(max(0.0, milliseconds), _LONGEST_MS))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
