"""The baseline: bare workflows and activities, in a worker process with the options of Rhone's own.

`python -m bench.bare ADDRESS DIRECTORY [MODEL-URL]`
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import docker
import httpx2
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from cli.settings import read_settings
from protocol.block import InputBlock, ResponseBlock, TextPart
from protocol.config import ProviderEntry
from protocol.ids import BlockId, BoxId, CallId, RunId, ToolExecutionId, fresh
from protocol.model import ModelRequest
from protocol.noun import JSONObject, Noun
from protocol.target import BoxSpec, Command, Offsets
from providers.openai_compatible.dialect import ChatCompletions
from providers.prices import Prices
from providers.upstream import Upstream
from targets.agent_binary import agent_path
from targets.docker import DockerHost
from targets.images import default_tag
from targets.memory import CountingTools
from targets.target import Target
from workflows import options
from workflows.messages import ActDone, ToolAct

QUEUE = "bare"
HOST_QUEUE = "host-bare"
COMMAND = "echo ok"

SLEEP_S = 0.2

FILLER = "What was said before. " * 250
BODY: JSONObject = {
    "model": "m",
    "messages": [{"role": "user", "content": "stream"}, {"role": "assistant", "content": FILLER}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
"""As long as the requests of a run are on average."""


class Steps(Noun):
    """So many activities of one kind, one after the other, on the queue of their host or the worker's."""

    activity: str
    count: int
    queue: str = HOST_QUEUE


class Turns(Noun):
    """So many turns of two activities each."""

    count: int


class Ended(Noun):
    """What an act returns, and when it was done: by the clock that all processes share, and by the day's."""

    done: ActDone = ActDone(wrote=True)
    at: float
    day: float = 0.0


@workflow.defn(name="bare_steps")
class StepsWorkflow:
    """Tells when each activity was done, in seconds of a clock that all processes share."""

    @workflow.run
    async def run(self, steps: Steps) -> list[float]:
        return [(await _act(steps.activity, steps.queue)).at for _ in range(steps.count)]


@workflow.defn(name="bare_turns")
class TurnsWorkflow:
    """Two activities a turn: as the model's call and the tool's."""

    @workflow.run
    async def run(self, turns: Turns) -> None:
        for _ in range(turns.count):
            await _act("bare_nothing", QUEUE)
            await _act("bare_count", QUEUE)


@workflow.defn(name="bare_wait")
class WaitWorkflow:
    """Waits for a signal, then acts once; when it is cancelled it acts once, too."""

    def __init__(self) -> None:
        self._told = False

    @workflow.signal(name="go")
    def go(self) -> None:
        self._told = True

    @workflow.run
    async def run(self, steps: Steps) -> float:
        with suppress(asyncio.CancelledError):
            await workflow.wait_condition(lambda: self._told, timeout=timedelta(days=7))
        return (await _act(steps.activity, steps.queue)).day


async def _act(name: str, queue: str) -> Ended:
    order = ToolAct(
        run_id=RunId(workflow.info().workflow_id), tool_execution_id=ToolExecutionId(str(workflow.uuid4()))
    )
    return await workflow.execute_activity(name, order, result_type=Ended, task_queue=queue, **options.TOOL)


class Acts:
    """The activities; the box is made when the first one needs it."""

    def __init__(self, directory: Path, model_url: str) -> None:
        self._url = model_url
        entry = ProviderEntry(protocol="openai-compatible", baseURL=model_url or "http://none", models=("m",))
        self._http = httpx2.AsyncClient(trust_env=False, timeout=60)
        self._request = _model_request()
        dialect = ChatCompletions(entry, place="bare", prices=Prices({}))
        self._provider = Upstream(dialect, entry, lambda: "none")
        self.host = DockerHost(agent_path(read_settings().cache), pool_size=0, label=str(directory))
        self._counting = CountingTools(directory / "bare-counted")
        self._box: asyncio.Task[tuple[str, Target]] | None = None
        self._engine: Any = None

    @activity.defn(name="bare_nothing")
    async def nothing(self, order: ToolAct) -> Ended:
        return Ended(at=time.monotonic(), day=time.time())

    @activity.defn(name="bare_sleep")
    async def sleep(self, order: ToolAct) -> Ended:
        """Tells when it began: its end may come while the engine is away."""
        began = time.monotonic()
        await asyncio.sleep(SLEEP_S)
        return Ended(at=began)

    @activity.defn(name="bare_count")
    async def count(self, order: ToolAct) -> Ended:
        await self._counting.count("read_only", order.tool_execution_id, order.tool_execution_id)
        return Ended(at=time.monotonic())

    @activity.defn(name="bare_model")
    async def model(self, order: ToolAct) -> Ended:
        """The model's answer through Rhone's client, with nothing kept of it."""
        async for _ in self._provider.stream(self._request, attempt=1):
            pass
        return Ended(at=time.monotonic())

    @activity.defn(name="bare_stream")
    async def stream(self, order: ToolAct) -> Ended:
        """The same bytes, read and thrown away."""
        url = f"{self._url}/chat/completions"
        async with self._http.stream("POST", url, json=BODY) as answer:
            async for _ in answer.aiter_bytes():
                pass
        return Ended(at=time.monotonic())

    @activity.defn(name="bare_agent")
    async def agent(self, order: ToolAct) -> Ended:
        """The command by the agent in the box, as a tool step does it, with nothing kept of it."""
        _, target = await self._place()
        execution = order.tool_execution_id
        await target.start(execution, Command(argv=("bash", "-c", COMMAND)))
        async for _ in target.follow(execution, Offsets()):
            pass
        return Ended(at=time.monotonic())

    @activity.defn(name="bare_exec")
    async def exec(self, order: ToolAct) -> Ended:
        """The command by `docker exec`, as one does it without an agent."""
        container, _ = await self._place()
        if self._engine is None:
            self._engine = docker.from_env()
        box = self._engine.containers.get(container)
        await asyncio.to_thread(partial(box.exec_run, ["bash", "-c", COMMAND], workdir="/workspace"))
        return Ended(at=time.monotonic())

    async def _place(self) -> tuple[str, Target]:
        self._box = self._box or asyncio.create_task(self._make())
        return await asyncio.shield(self._box)

    async def _make(self) -> tuple[str, Target]:
        place = await self.host.create(BoxSpec(image=default_tag()), BoxId(fresh("box_")))
        return place.container_id, await self.host.attach(place)

    async def close(self) -> None:
        if self._box is not None:
            container, _ = await self._box
            await asyncio.to_thread(docker.from_env().api.remove_container, container, force=True)
        await self.host.close()


def _model_request() -> ModelRequest:
    said: dict[str, Any] = {"session_id": fresh("sess_"), "created_at": datetime.now(UTC)}
    blocks = (
        InputBlock(id=BlockId(fresh("blk_")), content=(TextPart(text="stream"),), **said),
        ResponseBlock(
            id=BlockId(fresh("blk_")), call_id=CallId("call_0"), content=(TextPart(text=FILLER),), **said
        ),
    )
    return ModelRequest(model="m", instructions="", blocks=blocks)


async def serve(address: str, directory: Path, model_url: str) -> None:
    """The two workers of a Rhone worker, with its settings."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    acts = Acts(directory, model_url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    drain = timedelta(seconds=3)
    main = Worker(
        client,
        task_queue=QUEUE,
        workflows=[StepsWorkflow, TurnsWorkflow, WaitWorkflow],
        activities=[acts.nothing, acts.sleep, acts.count, acts.model, acts.stream],
        workflow_runner=UnsandboxedWorkflowRunner(),
        workflow_failure_exception_types=[Exception],
        max_cached_workflows=2_000,
        max_concurrent_activities=200,
        max_eager_activity_reservations_per_workflow_task=20,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=0.5),
        graceful_shutdown_timeout=drain,
    )
    host = Worker(
        client,
        task_queue=HOST_QUEUE,
        activities=[acts.agent, acts.exec, acts.nothing],
        max_concurrent_activities=200,
        graceful_shutdown_timeout=drain,
    )
    async with main, host:
        (directory / "bare.ready").write_text("ready\n")
        await stop.wait()
    await acts.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
    os._exit(0)
