"""The one-shot service `migrate`: what has to be there before the processes of a release start."""

import asyncio
import os
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import (
    RegisterNamespaceRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.bootstrap import bootstrap
from cli.home import Home
from worker.settings import Settings
from workflows.signatures import DEPLOYMENT

_KEPT = timedelta(days=3)
"""How long Temporal keeps the story of a run that has ended; the records keep all of it."""


async def prepare(settings: Settings) -> None:
    """Tables, first key, namespace, and the version that takes new runs; safe beside running processes."""
    bootstrap(Home(settings.data), settings.database_url)
    client = await Client.connect(settings.temporal_address)
    await _register(client, settings.temporal_namespace)
    if settings.worker_build_id is not None:
        await _promote(client, settings.temporal_namespace, settings.worker_build_id)


async def _register(client: Client, namespace: str) -> None:
    kept = Duration()
    kept.FromTimedelta(_KEPT)
    request = RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=kept)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def _promote(client: Client, namespace: str, build_id: str) -> None:
    """Its workers start after this: until they are there, new runs wait."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=namespace,
        deployment_name=DEPLOYMENT,
        build_id=build_id,
        identity="migrate",
        allow_no_pollers=True,
        ignore_missing_task_queues=True,
    )
    await client.workflow_service.set_worker_deployment_current_version(request)


if __name__ == "__main__":
    asyncio.run(prepare(Settings.model_validate({})))
    os._exit(0)  # the Temporal SDK sometimes aborts in the teardown of the interpreter
