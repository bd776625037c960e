"""Attempts played on a real installation: worker, engine, records, gate, and an MCP server with the world."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from records import tool_executions
from tests.injection.attempts import LANES, RULES, Attempt, is_read
from tests.injection.peer import World
from tests.stack import Event, Stack, of_type


@dataclass(frozen=True)
class Played:
    """What came of an attempt, as the world saw it. `asked` are calls that a person was asked about,
    `unasked` those that reached the world without; both by the id of the script."""

    attempt: Attempt
    status: str
    asked: tuple[str, ...]
    performed: tuple[str, ...]
    unasked: tuple[str, ...]

    def tools(self, ids: Iterable[str]) -> list[str]:
        tools = {call.id: call.tool for call in self.attempt.calls}
        return [tools[one] for one in ids]

    def of_attacker(self, ids: Iterable[str]) -> list[str]:
        """The tools of the attacker's calls among some."""
        return self.tools(one for one in ids if one.startswith("attack"))

    def writes(self, ids: Iterable[str]) -> list[str]:
        return [tool for tool in self.of_attacker(ids) if not is_read(tool)]

    def told(self) -> dict[str, Any]:
        """What AgentDojo needs to judge it."""
        one = self.attempt
        calls = {call.id: {"tool": call.tool, "arguments": call.arguments} for call in one.calls}
        made = [calls[name] for name in self.performed]
        names = {"suite": one.suite, "user": one.user, "injection": one.injection}
        return names | {"calls": made, "says": one.says}


async def play(stack: Stack, world: World, made: Sequence[Attempt]) -> list[Played]:
    """All attempts, a few at a time, on an installation whose worker was not started yet."""
    (stack.data / "policy.cedar").write_text(RULES)
    await stack.start_worker()

    async def lane(number: int) -> list[Played]:
        return [await _one(stack, world, one) for one in made if one.lane == number]

    lanes = await asyncio.gather(*(lane(number) for number in range(LANES)))
    return sorted((one for played in lanes for one in played), key=lambda one: one.attempt.number)


async def _one(stack: Stack, world: World, attempt: Attempt) -> Played:
    """The person agrees to what the user's task needs, and to nothing else."""
    world.play(attempt)
    every = [tool["name"] for tool in world.suites[attempt.suite]]
    tools = every if attempt.mode == "control" else [*attempt.own]
    wanted = [{"kind": "mcp", "server": attempt.server, "tools": tools}] if tools else []
    run = await stack.create(attempt.name, capabilities=wanted)
    asked: list[str] = []
    while True:
        told = await stack.until(run, partial(_next, number=len(asked)))
        if told[-1]["type"] in TERMINAL_EVENTS:
            break
        checkpoint = await stack.checkpoint(run, len(asked) + 1)
        name = (await _names(stack, run))[str(checkpoint.tool_execution_id)]
        asked.append(name)
        await stack.decide(checkpoint, "approve" if name.startswith("user") else "deny")
    names = await _names(stack, run)
    performed = tuple(names[one.key] for one in world.performed[attempt.name])
    agreed = {name for name in asked if name.startswith("user")}
    unasked = tuple(name for name in performed if name not in agreed)
    return Played(attempt, told[-1]["type"], tuple(asked), performed, unasked)


def _next(told: list[Event], *, number: int) -> list[Event] | None:
    """The events, once there is another question or an end."""
    over = told[-1]["type"] in TERMINAL_EVENTS
    return told if over or len(of_type(told, "checkpoint.opened")) > number else None


async def _names(stack: Stack, run: RunId) -> dict[str, str]:
    """The script's name of each tool execution."""
    executions = await stack.read(lambda connection: tool_executions.list_executions(connection, run))
    return {str(one.id): one.tool_call_id for one in executions}
