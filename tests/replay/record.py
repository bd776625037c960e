"""Records the histories that the replay test replays, all or the named, on a real server:
`python -m tests.replay.record [NAME ...]`.

Record anew only with a release: a stored history is what a run that is under way has behind it, and the
story of today must still be able to tell it.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

from cli.setup.settings import SetupSettings
from protocol.ids import RunId
from protocol.inbox import Cancel, Interrupt
from records.checkpoints import load
from tests.stack import Stack, docker
from tests.temporal_server import TemporalServer

HISTORIES = Path(__file__).parent / "histories"
IDENTITY = ("identity",)

READ = {"kind": "tool", "name": "count_read_only"}
ASKING = {"kind": "tool", "name": "count_idempotent_write", "approval": "ask"}
CLIENT = {
    "kind": "client_tool",
    "name": "pick",
    "description": "Picks.",
    "input_schema": {"type": "object", "properties": {}},
    "effect": "read_only",
    "timeout_ms": 500,
}
SPAWN = {"kind": "tool", "name": "spawn"}
BOX = {"target": {"kind": "workspace", "name": "dev"}}

SCRIPT = """
[[scenarios]]
when = "^text"
[[scenarios.turns]]
text = "Said."

[[scenarios]]
when = "^tools"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }, { name = "count_read_only" }]
repeat = 3
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^ask"
[[scenarios.turns]]
tool_calls = [{ name = "count_idempotent_write" }, { name = "count_read_only" }]
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^client"
[[scenarios.turns]]
tool_calls = [{ name = "pick" }]
[[scenarios.turns]]
text = "Nobody picked."

[[scenarios]]
when = "^slow"
[[scenarios.turns]]
text = "a long answer that takes its time"
delta_chars = 1
delta_delay_ms = 200

[[scenarios]]
when = "^box"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo one > a.txt" } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "sleep 2; cat a.txt" } }]
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^budget"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
usage = { input = 600, output = 400 }
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^family"
[[scenarios.turns]]
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "ask below", capabilities = [{ kind = "tool", name = "count_idempotent_write" }] }
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "text" }
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^broken"
[[scenarios.turns]]
text = "never"
faults = [{ fault = "error:400" }]
"""


async def text(stack: Stack) -> RunId:
    run_id = await stack.create("text")
    await stack.ended(run_id)
    return run_id


async def tools(stack: Stack) -> RunId:
    run_id = await stack.create("tools", capabilities=[READ])
    await stack.ended(run_id)
    return run_id


async def approved(stack: Stack) -> RunId:
    return await _decided(stack, "approve")


async def denied(stack: Stack) -> RunId:
    return await _decided(stack, "deny")


async def client_tool_expired(stack: Stack) -> RunId:
    run_id = await stack.create("client", capabilities=[CLIENT])
    await stack.ended(run_id)
    return run_id


async def interrupted(stack: Stack) -> RunId:
    run_id = await stack.create("slow")
    await stack.told(run_id, "response.delta")
    block = await stack.keep_words(run_id, "text please")
    await stack.say(run_id, Interrupt(behavior="save_partial", block_id=block))
    await stack.told(run_id, "run.interrupted")
    await stack.say(run_id, Cancel())
    await stack.ended(run_id)
    return run_id


async def cancelled_while_waiting(stack: Stack) -> RunId:
    run_id = await stack.create("ask", capabilities=[ASKING, READ])
    await stack.waits(run_id)
    await stack.say(run_id, Cancel(reason="enough"))
    await stack.ended(run_id)
    return run_id


async def budget_approved(stack: Stack) -> RunId:
    asking = {"max_tokens": 1_010, "on_exceed": "ask"}
    run_id = await stack.create("budget", capabilities=[READ], limits=asking)
    checkpoint = await stack.checkpoint(run_id)
    await stack.waits(run_id)
    await stack.decide(checkpoint, "approve")
    await stack.ended(run_id)
    return run_id


async def spawned(stack: Stack) -> RunId:
    """The root of a tree that waits for what was asked below it."""
    run_id = await stack.create("family", capabilities=[SPAWN, ASKING])
    await _below(stack, run_id)
    return run_id


async def spawned_below(stack: Stack) -> RunId:
    """A subrun that asks."""
    run_id = await stack.create("family", capabilities=[SPAWN, ASKING])
    return await _below(stack, run_id)


async def spawned_and_cancelled(stack: Stack) -> RunId:
    run_id = await stack.create("family", capabilities=[SPAWN, ASKING])
    await stack.waits(run_id)
    await stack.say(run_id, Cancel())
    await stack.ended(run_id)
    return run_id


async def timed_out(stack: Stack) -> RunId:
    run_id = await stack.create("slow", limits={"timeout_ms": 700})
    await stack.ended(run_id)
    return run_id


async def failed(stack: Stack) -> RunId:
    run_id = await stack.create("broken")
    await stack.ended(run_id)
    return run_id


async def workspace(stack: Stack) -> RunId:
    run_id = await stack.create("box", **BOX)
    await stack.ended(run_id, within=60)
    return run_id


async def workspace_lost(stack: Stack) -> RunId:
    run_id = await stack.create("box", **BOX)
    await stack.told(run_id, "tool_execution.started", 2)
    docker("kill", await stack.box(run_id))
    await stack.ended(run_id, within=60)
    return run_id


async def _below(stack: Stack, run_id: RunId) -> RunId:
    """The subrun that asked, when its parent has ended."""
    waiting = await stack.told(run_id, "run.waiting")
    [asked] = [await stack.read(lambda c, name=name: load(c, name)) for name in waiting["checkpoint_ids"]]
    assert asked is not None
    await stack.decide(asked, "approve")
    await stack.ended(run_id)
    return asked.run_id


async def _decided(stack: Stack, decision: str) -> RunId:
    run_id = await stack.create("ask", capabilities=[ASKING, READ])
    checkpoint = await stack.checkpoint(run_id)
    await stack.waits(run_id)
    await stack.decide(checkpoint, decision)
    await stack.ended(run_id)
    return run_id


FEATURES: tuple[Callable[[Stack], Awaitable[RunId]], ...] = (
    *(text, tools, approved, denied, client_tool_expired, interrupted, cancelled_while_waiting),
    *(budget_approved, timed_out, failed, workspace, workspace_lost),
    *(spawned, spawned_below, spawned_and_cancelled),
)


def without_machine(value: Any) -> Any:
    """The history without what names a machine or a process: replay does not look at it."""
    if isinstance(value, dict):
        return {key: without_machine(item) for key, item in value.items() if key not in IDENTITY}
    if isinstance(value, list):
        return [without_machine(item) for item in value]
    return value


async def record(names: Sequence[str]) -> None:
    """All of them, or the named."""
    cache = SetupSettings().data / "cache"
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = TemporalServer(Path(folder), cache)
        try:
            async with Stack(Path(folder) / "stack", server, cache, SCRIPT) as stack:
                await stack.start_worker()
                for feature in FEATURES:
                    if names and feature.__name__ not in names:
                        continue
                    run_id = await feature(stack)
                    await stack.handle(run_id).result()
                    history: WorkflowHistory = await stack.handle(run_id).fetch_history()
                    events = without_machine(json.loads(history.to_json()))
                    path = HISTORIES / f"{feature.__name__}.json"
                    path.write_text(json.dumps(events, separators=(",", ":")) + "\n")
                    print(path.name, len(events["events"]), "events")
        finally:
            server.kill()


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
