"""The engine on a real Temporal server: started once, woken, and away without anybody hanging."""

import socket
import time

import pytest
from temporalio.client import WorkflowExecutionStatus

from gateway.engine import TemporalEngine
from protocol.errors import Unavailable
from protocol.ids import RunId, fresh
from tests.temporal_server import TemporalServer
from workflows.signatures import WAKE, workflow_id


@pytest.mark.temporal
async def test_a_run_is_started_once_and_its_wake_ups_arrive(temporal_server: TemporalServer) -> None:
    namespace = await temporal_server.new_namespace()
    client = await temporal_server.client(namespace)
    engine = TemporalEngine(temporal_server.address, namespace)
    run_id = RunId(fresh("run_"))
    await engine.check()
    await engine.start(run_id)
    await engine.start(run_id)
    await engine.wake(run_id)
    handle = client.get_workflow_handle(workflow_id(run_id))
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    history = await handle.fetch_history()
    signals = [
        event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert [one.workflow_execution_signaled_event_attributes.signal_name for one in signals] == [WAKE]
    await handle.terminate()
    await engine.start(run_id)
    await engine.wake(run_id)


@pytest.mark.slow
async def test_a_dead_server_is_told_in_about_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for address in ("127.0.0.1:1", f"127.0.0.1:{port}"):
            engine = TemporalEngine(address, "default")
            for ask in (lambda engine=engine: engine.start(RunId("run_x")), engine.check):
                started = time.monotonic()
                with pytest.raises(Unavailable) as told:
                    await ask()
                assert told.value.code == "engine.unavailable"
                assert time.monotonic() - started < 30
