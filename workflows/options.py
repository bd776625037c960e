"""Time limits and retries: the only place that has any."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

MODEL_ATTEMPTS = 6
HISTORY_EVENTS = 3_000
HISTORY_BYTES = 1_500_000
"""Continue as new here: well under the server's warning (4,000 events or 2 MB are our own ceiling)."""

WORKFLOW_TASK_TIMEOUT = timedelta(seconds=2)

_QUICK = RetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
)


class Options(TypedDict, total=False):
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    schedule_to_start_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


class LocalOptions(TypedDict):
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


RECORD = LocalOptions(start_to_close_timeout=timedelta(seconds=20), retry_policy=_QUICK)
"""A local activity that reads or writes records: repeated until the database is back."""

WORK = Options(
    start_to_close_timeout=timedelta(minutes=15),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=_QUICK,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""Opening, placing, saving, ending."""

MODEL = Options(
    start_to_close_timeout=timedelta(hours=2),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(seconds=8),
        maximum_attempts=0,
    ),
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""The body counts the call's attempts against MODEL_ATTEMPTS, whoever made them."""

TOOL = Options(
    start_to_close_timeout=timedelta(hours=25),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=_QUICK,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""The time limit of a tool is kept where it acts."""

HELD: Options = {**TOOL, "schedule_to_start_timeout": timedelta(seconds=10)}
"""For one process alone: where it takes nothing for so long, it is gone."""

LOOK = Options(
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(maximum_attempts=2),
)
"""Somebody waits for the answer; asking again is theirs."""
