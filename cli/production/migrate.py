"""The one-shot service `migrate`: tables, secrets, the first key, and the namespace in Temporal."""

import asyncio
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from cli.bootstrap import bootstrap
from cli.home import Home
from gateway.settings import Settings

_KEPT = timedelta(days=3)
"""How long Temporal keeps the story of a run that has ended; the records keep all of it."""


async def prepare(settings: Settings) -> None:
    """Safe to repeat, and safe beside a running deployment."""
    bootstrap(Home(settings.data), settings.database_url)
    client = await Client.connect(settings.temporal_address)
    kept = Duration()
    kept.FromTimedelta(_KEPT)
    request = RegisterNamespaceRequest(
        namespace=settings.temporal_namespace, workflow_execution_retention_period=kept
    )
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


if __name__ == "__main__":
    asyncio.run(prepare(Settings.model_validate({})))
