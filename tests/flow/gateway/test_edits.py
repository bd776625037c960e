"""An approval with other arguments: what does not fit the tool is refused at once, and nothing is changed."""

from typing import Any

import pytest

from capabilities.catalogue import Catalogue
from protocol.capability import Grant
from protocol.checkpoint import Checkpoint, Envelope
from protocol.digest import digest
from protocol.ids import RunId, SnapshotId, ToolExecutionId, fresh
from protocol.noun import JSONObject
from records import checkpoints
from tests.flow.gateway.house import DIGEST, House, error_of

TOOL = "bash"


async def granted(home: House, run_id: RunId) -> SnapshotId:
    """A snapshot of the run with one grant."""
    definition = Catalogue().get(TOOL)
    assert definition is not None
    grant = Grant(
        kind="tool",
        name=TOOL,
        source_identity="built-in",
        definition=definition,
        definition_digest=digest(definition),
        effect=definition.effect,
        approval="ask",
    )
    return await home.resolve(run_id, grant)


async def asking(home: House) -> Checkpoint:
    """An approval over an envelope of the tool."""
    run_id = await home.start()
    envelope = Envelope(
        run_id=run_id,
        snapshot_id=await granted(home, run_id),
        policy_digest="sha256:p",
        tool=TOOL,
        definition_digest="sha256:d",
        tool_execution_id=ToolExecutionId(fresh("tool_")),
        arguments={"command": "ls"},
        target="dev",
        cwd=None,
        environment=(),
        files={},
    )
    return await home.ask(run_id, envelope=envelope)


async def approve(home: House, checkpoint: Checkpoint, arguments: Any) -> Any:
    body = {"decision": "approve", "envelope_digest": DIGEST, "arguments": arguments}
    return await home.client.post(f"/v1/checkpoints/{checkpoint.id}:decide", json=body)


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({}, "arguments.command"),
        ({"command": 1}, "arguments.command"),
        ({"command": "ls", "cmd": "ls"}, "arguments.cmd"),
        ({"command": "ls", "timeout_ms": 0}, "arguments.timeout_ms"),
        (["ls"], "arguments"),
        ("ls", "arguments"),
    ],
)
async def test_arguments_that_do_not_fit_the_tool_are_refused_and_change_nothing(
    home: House, arguments: Any, param: str
) -> None:
    checkpoint = await asking(home)
    status, _, named = error_of(await approve(home, checkpoint, arguments))
    assert (status, named) == (400, param)
    now = await home.gateway.database.read(lambda c: checkpoints.load(c, checkpoint.id))
    assert now == checkpoint


async def test_arguments_that_fit_are_taken_and_kept_with_the_decision(home: House) -> None:
    checkpoint = await asking(home)
    changed: JSONObject = {"command": "ls -a"}
    answer = await approve(home, checkpoint, changed)
    assert (answer.status_code, answer.json()["status"]) == (200, "approved")
    assert answer.json()["decisions"][0]["arguments"] == changed
    assert (await approve(home, checkpoint, changed)).status_code == 200
    other = await approve(home, checkpoint, {"command": "rm a"})
    assert error_of(other)[:2] == (409, "checkpoint.closed")
    events = await home.client.get(f"/v1/runs/{checkpoint.run_id}/events", params={"limit": 200})
    assert events.json()["items"][-1]["arguments_digest"] == digest(changed)
