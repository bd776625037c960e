"""Faults on their way into a workflow: what may pass is retried, what will not is an answer."""

from collections.abc import Callable
from datetime import timedelta

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
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


def discreet(redact: Callable[[str], str]) -> type[DefaultFailureConverter]:
    """How failures are told to the engine: without secrets, for histories are kept and shown."""

    class Discreet(DefaultFailureConverter):
        def to_failure(
            self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
        ) -> None:
            super().to_failure(exception, payload_converter, failure)
            failure.message = redact(failure.message)
            failure.stack_trace = redact(failure.stack_trace)

    return Discreet
