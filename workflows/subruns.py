"""The stories of a run's subruns: begun as workflows of their own, and woken across the tree."""

from collections.abc import Iterable

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from protocol.ids import RunId
    from workflows import options
    from workflows.messages import RunStart
    from workflows.signatures import RUN_WORKFLOW, WAKE, WORKER_QUEUE, workflow_id


async def begin(child: RunId, parent: RunId) -> None:
    """It outlives its parent's workflow by as long as it takes to end: what stops it lies in its inbox."""
    try:
        await workflow.start_child_workflow(
            RUN_WORKFLOW,
            RunStart(run_id=child, parent_run_id=parent),
            id=workflow_id(child),
            task_queue=WORKER_QUEUE,
            task_timeout=options.WORKFLOW_TASK_TIMEOUT,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except WorkflowAlreadyStartedError:
        return  # the sweeper was there first


async def wake(runs: Iterable[RunId | None]) -> None:
    """Those that are over hear nothing; a wake-up that gets lost is repeated by the sweeper."""
    for run_id in runs:
        if run_id is None:
            continue
        try:
            await workflow.get_external_workflow_handle(workflow_id(run_id)).signal(WAKE)
        except FailureError:
            continue
