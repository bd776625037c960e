"""The shell and the file tools against a box in memory: results, and output that is told once."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from protocol.capability import CapabilitySnapshot, Grant
from protocol.digest import digest_bytes
from protocol.event import ToolOutput
from protocol.ids import RunId, SessionId, ToolExecutionId
from protocol.target import Command, Exit, Offsets
from protocol.tool import ToolDefinition, ToolExecution
from targets.memory import MemoryTarget, Scripted
from targets.target import Target
from worker.act import SHOWN_TO_MODEL, Doing, Prepared, Result, cut
from worker.workspace_acts import EVENT_BYTES, Files, Shell


class Log:
    """What was told of the output, and how far an earlier worker had come."""

    def __init__(self, stdout: int = 0) -> None:
        self.pieces: list[ToolOutput] = []
        self._known = Offsets(stdout=stdout)

    async def told(self, execution: ToolExecution) -> tuple[int, Offsets]:
        return 1, self._known

    async def append(self, execution: ToolExecution, piece: ToolOutput, size: int) -> bool:
        self.pieces.append(piece)
        return True

    def all_of(self, result: Result) -> list[ToolOutput]:
        return [*self.pieces, *(piece.output for piece in result.untold)]


def doing(tool: str, status: str = "requested", **arguments: Any) -> Doing:
    definition = ToolDefinition(
        name=tool, description="", input_schema={}, source="target", effect="workspace"
    )
    execution = ToolExecution.model_validate(
        {
            "id": ToolExecutionId("tool_1"),
            "run_id": RunId("run_1"),
            "session_id": SessionId("sess_1"),
            "step": 1,
            "ordinal": 0,
            "tool_call_id": "call",
            "tool": tool,
            "source": "target",
            "effect": "workspace",
            "arguments": arguments,
            "arguments_digest": "sha256:0",
            "status": status,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )
    grant = Grant(
        kind="tool",
        name=tool,
        source_identity="target",
        definition=definition,
        definition_digest="sha256:0",
        effect="workspace",
        approval="auto",
    )
    return Doing(
        execution=execution, snapshot=CapabilitySnapshot.model_construct(), grant=grant, timeout_ms=1_000
    )


def shell(script: Scripted, log: Log) -> Shell:
    target = MemoryTarget({}, lambda command: script)

    async def attached() -> Target:
        return target

    return Shell(attached, log, {})


async def test_a_command_tells_both_streams_and_its_exit_code() -> None:
    log = Log()
    act = shell(Scripted(stdout=b"out\n", stderr=b"err\n", exit_code=3), log)
    result = await act.perform(doing("bash", command="x"), Prepared(), 1)
    assert result.text == "out\n\n[stderr]\nerr\n\n[exit code 3]"
    assert (result.outcome, result.is_error, result.exit_code) == ("failed", True, 3)
    assert sorted((piece.stream, piece.delta) for piece in log.all_of(result)) == [
        ("stderr", "err\n"),
        ("stdout", "out\n"),
    ]


async def test_a_silent_command_says_so() -> None:
    result = await shell(Scripted(), Log()).perform(doing("bash", command="x"), Prepared(), 1)
    assert (result.text, result.outcome) == ("[no output]", "succeeded")


async def test_a_worker_that_re_attaches_tells_only_what_the_log_does_not_have() -> None:
    log = Log(stdout=4)
    act = shell(Scripted(stdout=b"one two three"), log)
    result = await act.perform(doing("bash", status="claimed", command="x"), Prepared(), 1)
    assert result.text == "one two three"
    assert [(piece.offset, piece.delta) for piece in log.all_of(result)] == [(4, "two three")]


class Shared(Log):
    """A log into which a worker that was given up still tells the beginning."""

    async def append(self, execution: ToolExecution, piece: ToolOutput, size: int) -> bool:
        if self._known == Offsets():
            self._known = Offsets(stdout=4)
        return piece.offset == self._known.stdout and await super().append(execution, piece, size)


async def test_output_that_another_worker_told_first_stops_nobody_from_telling_the_rest() -> None:
    target = MemoryTarget({}, lambda command: Scripted(stdout=b"one two three", seconds=0.2))

    async def attached() -> Target:
        return target

    log = Shared()
    await target.start(ToolExecutionId("tool_1"), Command(argv=("x",)))
    await asyncio.sleep(0)
    result = await Shell(attached, log, {}).perform(
        doing("bash", status="claimed", command="x"), Prepared(), 1
    )
    assert [(piece.offset, piece.delta) for piece in log.all_of(result)] == [(4, "two three")]


async def test_long_output_is_told_in_pieces_without_a_gap() -> None:
    log, size = Log(), 3 * EVENT_BYTES + 5
    result = await shell(Scripted(stdout=b"x" * size), log).perform(doing("bash", command="x"), Prepared(), 1)
    reached = 0
    for piece in log.all_of(result):
        assert piece.offset == reached
        reached += len(piece.delta)
    assert reached == size


async def test_a_character_is_never_cut_between_two_pieces() -> None:
    log, text = Log(), "ü" * EVENT_BYTES
    result = await shell(Scripted(stdout=text.encode(), seconds=0.2), log).perform(
        doing("bash", command="x"), Prepared(), 1
    )
    assert "".join(piece.delta for piece in log.all_of(result)) == text


async def test_only_the_end_of_a_stream_may_hold_a_broken_character() -> None:
    log, text = Log(), "x" + "€" * EVENT_BYTES
    result = await shell(Scripted(stdout=text.encode()[:-1]), log).perform(
        doing("bash", command="x"), Prepared(), 1
    )
    pieces = log.all_of(result)
    assert "".join(piece.delta for piece in pieces) == text[:-1] + "\ufffd"
    assert len(pieces) == 4


async def test_a_command_that_passes_its_time_limit_says_so() -> None:
    act = shell(Scripted(seconds=5), Log())
    result = await act.perform(doing("bash", command="x", timeout_ms=20), Prepared(), 1)
    assert "[killed: the time limit of 20 ms passed]" in result.text
    assert result.is_error


async def test_what_is_halted_ends() -> None:
    target = MemoryTarget({}, lambda command: Scripted(seconds=60))

    async def attached() -> Target:
        return target

    act = Shell(attached, Log(), {})
    await target.start(ToolExecutionId("tool_1"), Command(argv=("sleep", "60")))
    await act.halt(doing("bash", command="x"))
    last = [piece async for piece in target.follow(ToolExecutionId("tool_1"), Offsets())][-1]
    assert isinstance(last, Exit)
    assert last.killed


async def edited(before: str, attempt: int = 1, **arguments: Any) -> tuple[Result, str]:
    target = MemoryTarget({"a.txt": before.encode()}, lambda command: None)

    async def attached() -> Target:
        return target

    asked = doing("edit_file", path="a.txt", **arguments)
    result = await Files(attached).perform(asked, Prepared(), attempt)
    return result, target.files["a.txt"].decode()


async def test_an_edit_needs_its_text_exactly_once_or_everywhere_when_asked() -> None:
    result, after = await edited("one two", old_text="two", new_text="three")
    assert (result.is_error, after) == (False, "one three")
    result, after = await edited("one one", old_text="one", new_text="two")
    assert (result.is_error, after) == (True, "one one")
    result, after = await edited("one one", old_text="one", new_text="two", replace_all=True)
    assert (result.is_error, after) == (False, "two two")
    result, after = await edited("one", old_text="two", new_text="three")
    assert (result.is_error, after) == (True, "one")


async def test_an_edit_that_was_done_before_the_worker_died_is_done() -> None:
    result, after = await edited("one three", attempt=2, old_text="two", new_text="three")
    assert (result.is_error, after) == (False, "one three")


@pytest.mark.parametrize("size", [SHOWN_TO_MODEL - 1, SHOWN_TO_MODEL])
def test_a_text_that_fits_is_shown_whole(size: int) -> None:
    assert cut("x" * size) == "x" * size


def test_a_longer_text_shows_its_ends_its_size_and_its_digest() -> None:
    text = "a" * SHOWN_TO_MODEL + "z"
    shown = cut(text)
    assert shown.startswith("aaa")
    assert shown.endswith("z")
    assert f"{SHOWN_TO_MODEL + 1} bytes in all, {digest_bytes(text.encode())}" in shown
    assert len(shown) < SHOWN_TO_MODEL + 200
