"""The target in memory keeps the contract, and can be told what a command does."""

import asyncio
from pathlib import Path

import pytest

from protocol.ids import ToolExecutionId
from protocol.target import BoxSpec, Command
from targets.memory import Counted, CountingTools, MemoryHost, Scripted
from tests.conformance.target_suite import TargetSuite, box_id, ran


@pytest.fixture
def spec() -> BoxSpec:
    return BoxSpec(image="any")


class TestMemoryTarget(TargetSuite):
    @pytest.fixture
    def host(self) -> MemoryHost:
        return MemoryHost()


async def test_a_script_says_what_a_command_does(spec: BoxSpec) -> None:
    def script(command: Command) -> Scripted | None:
        return Scripted(stderr=b"no tests", exit_code=5) if command.argv[0] == "pytest" else None

    host = MemoryHost(script)
    target = await host.attach(await host.create(spec, box_id()))
    said = await ran(target, "pytest")
    assert (said.stderr, said.exit.exit_code) == (b"no tests", 5)
    assert (await ran(target, "echo", "x")).stdout == b"x\n"


async def test_the_counting_world_keeps_each_execution(tmp_path: Path) -> None:
    world = CountingTools(tmp_path / "world")
    first, second = ToolExecutionId("tool_1"), ToolExecutionId("tool_2")
    assert await world.count("non_idempotent_write", first, "k1") == 1
    assert await world.count("non_idempotent_write", first, "k1") == 2
    assert await world.count("idempotent_write", second, "k2") == 1
    assert await world.count("idempotent_write", second, "k2") == 1
    assert CountingTools(tmp_path / "world").executions() == (
        Counted(effect="non_idempotent_write", execution=first, key="k1"),
        Counted(effect="non_idempotent_write", execution=first, key="k1"),
        Counted(effect="idempotent_write", execution=second, key="k2"),
    )


async def test_two_who_count_at_once_are_both_counted(tmp_path: Path) -> None:
    worlds = [CountingTools(tmp_path / "world") for _ in range(4)]
    counts = await asyncio.gather(
        *(world.count("read_only", ToolExecutionId(f"tool_{i}"), "") for i, world in enumerate(worlds * 5))
    )
    assert sorted(counts) == list(range(1, 21))
