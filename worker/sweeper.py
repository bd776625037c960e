"""Repeats what got lost between a commit and the engine: starts, wake-ups, and workflows that failed."""

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from harness.state import Ending
from protocol.ids import RunId
from records import idempotency, inbox, runs
from records.database import Database
from records.logs import logger
from records.writer import Writer
from worker import family
from workflows.messages import RunStart
from workflows.options import WORKFLOW_TASK_TIMEOUT
from workflows.signatures import RUN_WORKFLOW, WAKE, WORKER_QUEUE, workflow_id

STALE_S = 5.0
LOOK_AT_WORKFLOWS_EVERY = 15

log = logger(__name__)


class Sweeper:
    """Runs in every worker; each of its acts may be done twice."""

    def __init__(self, database: Database, writer: Writer, client: Client, seconds: float) -> None:
        self._database = database
        self._writer = writer
        self._client = client
        self._seconds = seconds
        self._turns = 0

    async def turn(self) -> float:
        self._turns += 1
        await self.sweep()
        if self._turns % LOOK_AT_WORKFLOWS_EVERY == 0:
            await self.bury()
            await self._writer.commit(idempotency.sweep)
        return self._seconds

    async def sweep(self) -> None:
        for run_id, parent in await self._database.read(lambda c: runs.stale_starts(c, STALE_S)):
            await self._start(run_id, parent)
        for run_id in await self._database.read(inbox.unseen):
            await self._wake(run_id)

    async def bury(self) -> None:
        """An open run whose workflow has failed or is gone ends as failed: no run hangs for ever."""
        for run_id in await self._database.read(runs.open_runs):
            record = await self._database.read(lambda c, run_id=run_id: runs.load(c, run_id))
            if record is None or record.starting:
                continue
            status = await self._status(run_id)
            if status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
                continue
            ending = Ending(
                status="failed",
                stop_reason="error",
                code="engine.workflow_lost",
                message="the run's workflow is gone" if status is None else "the run's workflow failed",
            )
            await family.end(self._database, self._writer, record, ending)

    async def _status(self, run_id: RunId) -> WorkflowExecutionStatus | None:
        try:
            described = await self._client.get_workflow_handle(workflow_id(run_id)).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise
        return described.status

    async def _start(self, run_id: RunId, parent: RunId | None) -> None:
        try:
            await self._client.start_workflow(
                RUN_WORKFLOW,
                RunStart(run_id=run_id, parent_run_id=parent),
                id=workflow_id(run_id),
                task_queue=WORKER_QUEUE,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
        except WorkflowAlreadyStartedError:
            log.info("the run's workflow had begun and is over", run_id=run_id)
        await self._writer.commit(lambda tx: runs.mark_queued(tx, run_id), runs=[run_id])

    async def _wake(self, run_id: RunId) -> None:
        try:
            await self._client.get_workflow_handle(workflow_id(run_id)).signal(WAKE)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
