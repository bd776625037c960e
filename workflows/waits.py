"""What a story waits for: words or a deadline, whichever comes first; how long its history may grow."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutType
from temporalio.exceptions import TimeoutError as TimedOut

from workflows import options

LATE = timedelta(milliseconds=20)
"""A deadline is looked at a little late, so that the database's clock agrees that it has passed."""


async def until(
    over: Callable[[], bool], expires_at: str | None, idle_s: int | None = None
) -> Literal["over", "due", "idle"]:
    """Which came first: the condition, the deadline, or so many seconds without either."""
    deadline = datetime.fromisoformat(expires_at) if expires_at else None
    left = max(deadline - workflow.now() + LATE, LATE) if deadline else None
    idle = timedelta(seconds=idle_s) if idle_s is not None else None
    first = idle if idle is not None and (left is None or idle < left) else left
    try:
        await workflow.wait_condition(over, timeout=first)
    except TimeoutError:
        return "idle" if first is idle else "due"
    return "over"


def history_is_long() -> bool:
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested()
        or info.get_current_history_length() >= options.HISTORY_EVENTS
        or info.get_current_history_size() >= options.HISTORY_BYTES
    )


def was_taken(error: ActivityError) -> bool:
    """False where nobody polled its queue in time."""
    cause = error.cause
    return not (isinstance(cause, TimedOut) and cause.type is TimeoutType.SCHEDULE_TO_START)


def why(error: ActivityError) -> tuple[str, str]:
    """The code and the words of a port that gave up."""
    cause = error.cause
    code = cause.type if isinstance(cause, ApplicationError) else None
    words = cause.message if isinstance(cause, FailureError) else str(error)
    return code or "engine.activity_failed", words
