"""RCP-08: what a receipt says of a box is what the engine says of it, or there is no run."""

import json
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.receipts import ReceiptQuery, bundle_of
from protocol.ids import RunId
from records import snapshots
from targets.images import default_tag
from tests.stack import Event, Stack, docker, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.docker]

SEED = 12
MIB = 1024 * 1024
SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "risky" } }]
[[scenarios.turns]]
text = "Done."
"""
ASK = [{"kind": "tool", "name": "count_non_idempotent_write"}]
REFUSED = ("target.limits_refused", "target.image_missing", "target.box_refused", "target.engine_weak")


def configuration(chance: random.Random) -> dict[str, Any]:
    """One that an engine can make, four times out of five; the others ask for what cannot be."""
    memory = chance.choice([128, 192, 256, 384, 512])
    limits = {
        "memory_mb": memory,
        "disk_mb": chance.choice([16, 32, 48, memory // 4, memory // 2]),
        "cpus": chance.choice([0.25, 0.5, 1.0, 1.5]),
        "pids": chance.choice([64, 100, 256, 500]),
    }
    image, runtime = chance.choice(["default", default_tag()]), chance.choice(["", "", "runc"])
    match chance.randrange(15):
        case 0:
            limits["disk_mb"] = memory
        case 1:
            image = "rhone/nobody-has-this:1"
        case 2:
            runtime = "no-such-runtime"
        case _:
            pass
    return {"limits": limits, "image": image, "runtime": runtime}


def table(name: str, made: dict[str, Any]) -> str:
    limits = ", ".join(f"{key} = {value}" for key, value in made["limits"].items())
    head = f'[targets.{name}]\nkind = "workspace"\nimage = "{made["image"]}"\nruntime = "{made["runtime"]}"'
    return f"{head}\nlimits = {{ {limits} }}\n"


@pytest.fixture(params=[8, pytest.param(50, marks=pytest.mark.soak)])
async def made(
    request: pytest.FixtureRequest, temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> AsyncGenerator[tuple[Stack, dict[str, dict[str, Any]]]]:
    chance = random.Random(SEED)
    known = {f"box{number}": configuration(chance) for number in range(request.param)}
    written = "\n".join(table(name, one) for name, one in known.items())
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT, more=written) as stack:
        await stack.start_worker()
        yield stack, known


async def test_the_engine_s_word_on_a_box_is_in_the_receipt_or_there_is_no_run(
    made: tuple[Stack, dict[str, dict[str, Any]]],
) -> None:
    stack, known = made
    came_to: list[str] = []
    for name, asked in known.items():
        run = await stack.create("go", capabilities=ASK, target={"kind": "workspace", "name": name})
        told = await stack.until(run, begun)
        if told[-1]["type"] == "run.failed":
            code = told[-1]["error"]["code"]
            assert code in REFUSED, told[-1]
            assert of_type(told, "target.materialized") == []
            came_to.append(code)
            continue
        [inspected] = json.loads(docker("inspect", await stack.box(run)))
        evidence = await workspace_evidence(stack, run)
        assert evidence["container"] == as_evidence(inspected)
        assert evidence["image"] == inspected["Image"]
        assert limits_of(inspected) == limits_asked(asked["limits"])
        assert inspected["HostConfig"]["Runtime"] == (asked["runtime"] or "runc")
        assert all(check["held"] for check in evidence["posture"].values())
        came_to.append("made")
        await stack.decide(await stack.checkpoint(run), "approve")
        await stack.ended(run)
    assert came_to.count("made") >= len(known) // 2
    assert len(set(came_to)) > 1


def begun(told: list[Event]) -> list[Event] | None:
    return told if of_type(told, "checkpoint.opened") or told[-1]["type"] == "run.failed" else None


async def workspace_evidence(stack: Stack, run: RunId) -> Any:
    """As the receipt has it: the row that its record names by digest."""
    record = await stack.record(run)
    snapshot_id = record.run.capability_snapshot_id
    assert snapshot_id is not None
    query = ReceiptQuery(partial=True)
    bundle = await stack.read(lambda c: bundle_of(c, record.run, record.tenant.project_id, query))
    rows = await stack.read(lambda c: snapshots.list_evidence(c, snapshot_id))
    told = {one["body"]["digest"] for one in bundle["records"] if one["kind"] == "evidence"}
    [row] = [row for row in rows if row.kind == "workspace"]
    assert row.digest in told
    [shown] = [one for one in bundle["evidence"] if one["digest"] == row.digest]
    return shown["body"]


def as_evidence(inspected: dict[str, Any]) -> dict[str, Any]:
    """What the engine's own client says, under the names of the evidence."""
    config, host = inspected["Config"], inspected["HostConfig"]
    names = (
        *("CapAdd", "CapDrop", "SecurityOpt", "Privileged", "ReadonlyRootfs", "NetworkMode", "IpcMode"),
        *("PidMode", "UsernsMode", "Runtime", "Memory", "MemorySwap", "NanoCpus", "PidsLimit", "Ulimits"),
        *("Tmpfs", "Devices", "MaskedPaths", "ReadonlyPaths"),
    )
    return {name: host[name] for name in names} | {
        "container_id": inspected["Id"],
        "image_digest": inspected["Image"],
        "started_at": inspected["State"]["StartedAt"],
        "user": config["User"],
        "entrypoint": [*config["Entrypoint"], *(config["Cmd"] or [])],
        "mounts": [{"destination": one["Destination"], "writable": one["RW"]} for one in inspected["Mounts"]],
    }


def limits_of(inspected: dict[str, Any]) -> dict[str, Any]:
    host = inspected["HostConfig"]
    disk = next(part for part in host["Tmpfs"]["/workspace"].split(",") if part.startswith("size="))
    return {
        "memory": host["Memory"],
        "swap": host["MemorySwap"],
        "cpus": host["NanoCpus"],
        "pids": host["PidsLimit"],
        "disk": disk,
    }


def limits_asked(limits: dict[str, Any]) -> dict[str, Any]:
    return {
        "memory": limits["memory_mb"] * MIB,
        "swap": limits["memory_mb"] * MIB,
        "cpus": int(limits["cpus"] * 1_000_000_000),
        "pids": limits["pids"],
        "disk": f"size={limits['disk_mb']}m",
    }
