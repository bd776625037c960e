"""What goes on behind the runs: starts that got lost, workflows that are gone, spans for a collector."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = pytest.mark.temporal

TOOLS = [{"kind": "tool", "name": "count_read_only"}]
SCRIPT = """
[[scenarios]]
when = "^ask"
[[scenarios.turns]]
tool_calls = [{ name = "ask_user", arguments = { question = "Well?" } }]
[[scenarios.turns]]
text = "done"

[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
[[scenarios.turns]]
text = "done"
"""


@pytest.fixture
async def stack(temporal_server: TemporalServer, cache: Path, tmp_path: Path) -> AsyncGenerator[Stack]:
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as made:
        yield made


@pytest.mark.slow
async def test_a_run_whose_workflow_is_gone_ends_as_failed_and_says_so(stack: Stack) -> None:
    await stack.start_worker(RHONE_SWEEP_SECONDS="0.1")
    run = await stack.create("ask", capabilities=[{"kind": "tool", "name": "ask_user"}])
    checkpoint = await stack.checkpoint(run)
    await stack.waits_for(checkpoint)
    await stack.handle(run).terminate()
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "engine.workflow_lost")
    assert [event["checkpoint_id"] for event in of_type(told, "checkpoint.cancelled")] == [checkpoint.id]


async def test_a_start_that_was_committed_and_never_begun_is_begun_by_the_sweeper(stack: Stack) -> None:
    await stack.start_worker(RHONE_SWEEP_SECONDS="0.1")
    run = await stack.intend("count", capabilities=TOOLS)
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.completed"
    assert len(stack.counted(told)) == 1


@contextmanager
def collector() -> Generator[tuple[str, list[bytes]]]:
    """Takes down what is exported to it."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()


async def test_a_run_its_calls_and_its_tools_are_told_as_spans_where_a_collector_is_named(
    stack: Stack,
) -> None:
    with collector() as (endpoint, bodies):
        worker = await stack.start_worker(RHONE_OTLP_ENDPOINT=endpoint)
        run = await stack.create("count", capabilities=TOOLS)
        told = await stack.ended(run)
        await worker.stop()
    spans = {
        (span.name, attribute.value.string_value)
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        for attribute in span.attributes
        if attribute.key in ("rhone.run_id", "rhone.tool_execution_id")
    }
    (execution,) = of_type(told, "tool_execution.requested")
    assert spans == {
        ("run", run),
        ("call", run),
        ("tool", run),
        ("tool", execution["tool_execution_id"]),
    }
