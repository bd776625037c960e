"""Faults on their way into a workflow: what may pass is retried, what will not is an answer."""

from datetime import timedelta

from temporalio.exceptions import ApplicationError

from harness.state import Ending
from protocol.errors import Fault, Refused, Unavailable


def for_retry(fault: Unavailable) -> ApplicationError:
    """The activity failed for now; Temporal repeats it, after the hint where there is one."""
    delay = timedelta(seconds=fault.retry_after) if fault.retry_after else None
    return ApplicationError(fault.message, type=fault.code, next_retry_delay=delay)


def for_good(fault: Refused) -> ApplicationError:
    """The activity failed, and repeating it changes nothing: the run ends with the fault's code."""
    return ApplicationError(fault.message, type=fault.code, non_retryable=True)


def ending_for(fault: Fault) -> Ending:
    """The run cannot go on: its error carries the fault's code, words and field."""
    return Ending(
        status="failed",
        stop_reason="error",
        code=fault.code,
        message=fault.message,
        param=fault.param,
    )
