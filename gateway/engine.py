"""The engine: who tells the story of a run. The gateway starts it, wakes it, and asks it nothing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from protocol.errors import Unavailable
from protocol.ids import RunId, fresh
from records.logs import logger
from workflows.messages import Look, Looked, RunStart
from workflows.options import WORKFLOW_TASK_TIMEOUT
from workflows.signatures import LOOK_WORKFLOW, RUN_WORKFLOW, WAKE, WORKER_QUEUE, workflow_id

PATIENCE = timedelta(seconds=1)
"""A dead server is a 503 after this long, not a hanging request."""

LOOKING = timedelta(seconds=20)
"""How long a look into a work tree may take."""


class Engine(Protocol):
    """Every method raises Unavailable where nobody answers."""

    async def start(self, run_id: RunId) -> None:
        """Begin the run's workflow; a second start of the same run changes nothing."""
        ...

    async def wake(self, run_id: RunId) -> None:
        """Tell the workflow that its inbox grew; one that has ended is not an error."""
        ...

    async def look(self, order: Look) -> Looked:
        """Have a worker look into a run's saved work tree."""
        ...

    async def check(self) -> None: ...


class TemporalEngine:
    """The engine on a Temporal server, which may be away when the gateway comes up."""

    def __init__(self, address: str, namespace: str) -> None:
        self._address = address
        self._namespace = namespace
        self._client: Client | None = None

    async def start(self, run_id: RunId) -> None:
        async with self._asked() as client:
            try:
                await client.start_workflow(
                    RUN_WORKFLOW,
                    RunStart(run_id=run_id),
                    id=workflow_id(run_id),
                    task_queue=WORKER_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    task_timeout=WORKFLOW_TASK_TIMEOUT,
                    rpc_timeout=PATIENCE,
                )
            except WorkflowAlreadyStartedError:
                return

    async def wake(self, run_id: RunId) -> None:
        async with self._asked() as client:
            handle = client.get_workflow_handle(workflow_id(run_id))
            try:
                await handle.signal(WAKE, rpc_timeout=PATIENCE)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    async def look(self, order: Look) -> Looked:
        async with self._asked(LOOKING) as client:
            try:
                return await client.execute_workflow(
                    LOOK_WORKFLOW,
                    order,
                    id=f"look-{fresh('req_')}",
                    task_queue=WORKER_QUEUE,
                    execution_timeout=LOOKING,
                    result_type=Looked,
                )
            except WorkflowFailureError as error:
                raise _away(f"no worker could look: {error.cause or error}") from error

    async def check(self) -> None:
        async with self._asked() as client:
            if not await client.service_client.check_health(timeout=PATIENCE):
                raise _away("it is not serving")

    @asynccontextmanager
    async def _asked(self, patience: timedelta = PATIENCE) -> AsyncGenerator[Client]:
        try:
            async with asyncio.timeout(patience.total_seconds() * 1.2):
                yield await self._connected()
        except (RPCError, TimeoutError, RuntimeError) as error:
            # RuntimeError: the SDK tells a failed connect by nothing more exact
            raise _away(str(error)) from error

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = await Client.connect(
                self._address,
                namespace=self._namespace,
                data_converter=pydantic_data_converter,
                lazy=True,
                connect_timeout=PATIENCE,
                retry_config=RetryConfig(
                    initial_interval_millis=50, max_interval_millis=200, max_elapsed_time_millis=800
                ),
            )
        return self._client


def _away(why: str) -> Unavailable:
    """The reason is for the log: it names machines."""
    logger("gateway").warning("the workflow engine does not answer", reason=why[:300])
    return Unavailable("engine.unavailable", "the workflow engine does not answer", retry_after=1)
