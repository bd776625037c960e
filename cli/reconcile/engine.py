"""Whether every open run has a story that goes on, and every story an open run."""

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from cli.failure import Unreachable
from cli.reconcile.findings import Finding
from protocol.ids import RunId
from records.checks import OpenRun
from workflows.signatures import RUN_WORKFLOW, workflow_id

_PATIENCE = timedelta(seconds=5)


async def connect(address: str, namespace: str) -> Client:
    try:
        return await Client.connect(address, namespace=namespace, connect_timeout=_PATIENCE)
    except RuntimeError as error:
        raise Unreachable(address, f"the Temporal server is away ({str(error)[:100]})") from error


async def look(client: Client, runs: list[OpenRun]) -> list[Finding]:
    """The runs were read before: what ended since is no finding, so both sides are asked by name."""
    query = f"WorkflowType = '{RUN_WORKFLOW}' AND ExecutionStatus = 'Running'"
    running = {workflow.id async for workflow in client.list_workflows(query)}
    ids = {workflow_id(run.run_id): run for run in runs}
    found = [
        Finding("runs", run.run_id, f"it is {run.status}, and no workflow tells its story")
        for name, run in ids.items()
        if name not in running and not await _is_running(client, name)
    ]
    strays = sorted(running - ids.keys())
    return found + [
        Finding("runs", RunId(name), "its workflow runs on, and the records have it ended")
        for name in strays
        if await _is_running(client, name)
    ]


async def _is_running(client: Client, name: str) -> bool:
    # The list lags behind; the workflow itself does not.
    try:
        told = await client.get_workflow_handle(name).describe(rpc_timeout=_PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise Unreachable("Temporal", error.message) from error
    return told.status is WorkflowExecutionStatus.RUNNING
