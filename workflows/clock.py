"""The clock of a run: it stands still while the run waits for somebody."""

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow


class Clock:
    """The time that a run has worked."""

    def __init__(self, worked_ms: int) -> None:
        self._before_ms = worked_ms
        self._since = workflow.now()
        self.stands = False

    @property
    def worked_ms(self) -> int:
        if self.stands:
            return self._before_ms
        return self._before_ms + round((workflow.now() - self._since).total_seconds() * 1000)

    def stop(self) -> None:
        self._before_ms = self.worked_ms
        self.stands = True

    def go_on(self) -> None:
        self._since = workflow.now()
        self.stands = False

    async def until(self, limit_ms: Callable[[], int]) -> None:
        """Until the run has worked that long; the limit may change, and is off at 0."""
        while True:
            limit = limit_ms()
            await workflow.wait_condition(lambda: not self.stands)
            if not limit:
                await workflow.wait_condition(lambda: limit_ms() != 0)
                continue
            left = timedelta(milliseconds=max(1, limit - self.worked_ms))
            try:
                await workflow.wait_condition(
                    lambda known=limit: self.stands or limit_ms() != known, timeout=left
                )
            except TimeoutError:
                return
