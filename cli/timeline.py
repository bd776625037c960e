"""A run's timeline: its facts in order, each with its number and the time since the run was created."""

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from protocol.noun import JSONObject

_FRAGMENTS = frozenset({"response.delta", "thinking.delta", "tool_execution.output"})


def timeline(events: Iterable[JSONObject]) -> list[tuple[int, str, str, str]]:
    """Rows of number, time, type and what it is about; fragments of text and output are left out."""
    rows: list[tuple[int, str, str, str]] = []
    tools: dict[str, str] = {}
    first: datetime | None = None
    for event in events:
        at = datetime.fromisoformat(cast(str, event["at"]))
        first = first or at
        kind = cast(str, event["type"])
        if kind == "tool_execution.requested":
            tools[cast(str, event["tool_execution_id"])] = cast(str, event["tool"])
        if kind not in _FRAGMENTS:
            since = f"{(at - first).total_seconds():.2f} s"
            rows.append((cast(int, event["seq"]), since, kind, _about(event, tools)))
    return rows


def _about(event: JSONObject, tools: dict[str, str]) -> str:
    told = ("step", "outcome", "decision", "by", "stop_reason")
    words = [tools.get(str(event.get("tool_execution_id")), "")]
    words += [str(event[name]) for name in told if name in event]
    if "attempt" in event and event["attempt"] != 1:
        words.append(f"attempt {event['attempt']}")
    return " ".join(word for word in words if word)
