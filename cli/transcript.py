"""A run's events as lines for a reader: every token once, every output line once, nothing that was voided."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from capabilities.visible import written
from protocol import event as told
from protocol.block import InputBlock, text_of
from protocol.errors import ErrorBody
from protocol.event import EventBody, body_of
from protocol.noun import JSONObject

Style = Literal["plain", "quiet", "good", "bad", "loud", "said"]

_ARGUMENT = {"bash": "command", "glob": "pattern", "grep": "pattern", "open_pull_request": "title"}
_PREVIEWED = 6
_WIDEST = 160


@dataclass(frozen=True)
class Line:
    text: str
    style: Style = "plain"


@dataclass
class _Call:
    attempt: int
    blocks: dict[int, str] = field(default_factory=dict[int, str])
    thinking: set[int] = field(default_factory=set[int])

    def add(self, block: int, delta: str, *, thinking: bool) -> None:
        self.blocks[block] = self.blocks.get(block, "") + delta
        if thinking:
            self.thinking.add(block)

    def lines(self) -> Iterator[Line]:
        for block in sorted(self.blocks):
            style: Style = "quiet" if block in self.thinking else "said"
            yield from (Line(_shown(line), style) for line in self.blocks[block].strip("\n").split("\n"))


@dataclass
class _Stream:
    """One output stream of a command: the offset of its last piece, and its line that has no end yet."""

    offset: int = -1
    rest: str = ""


@dataclass
class _Tool:
    attempt: int = 0
    streams: dict[str, _Stream] = field(default_factory=dict[str, _Stream])

    def rests(self) -> Iterator[Line]:
        return (Line(f"  │ {_shown(stream.rest)}") for stream in self.streams.values() if stream.rest)


class Transcript:
    """Folds events. `take` gives the lines that are final with an event, `open` what may still change.

    `view` looks up what a person is shown at a checkpoint, which is no part of the stream.
    """

    def __init__(self, view: Callable[[str], str]) -> None:
        self._view = view
        self._calls: dict[str, _Call] = {}
        self._tools: dict[str, _Tool] = {}

    def take(self, event: JSONObject) -> list[Line]:
        try:
            body = body_of(event)
        except ValidationError:
            return [Line(f"({event.get('type')})", "quiet")]
        return list(self._told(body, str(event.get("run_id"))))

    def open(self) -> list[Line]:
        lines = [line for call in self._calls.values() for line in call.lines()]
        return lines + [line for tool in self._tools.values() for line in tool.rests()]

    def _told(self, body: EventBody, run_id: str) -> Iterator[Line]:
        match body:
            case told.ResponseDelta() | told.ThinkingDelta():
                self._delta(body)
            case told.CallStarted():
                if body.attempt == 1:
                    yield Line(f"── step {body.step}, {body.model}", "quiet")
            case told.CallAttemptVoided():
                self._calls[body.call_id] = _Call(body.attempt + 1)
                yield Line(f"(the model broke off; attempt {body.attempt} is void)", "quiet")
            case told.CallFailed():
                self._calls.pop(body.call_id, None)
                yield Line(f"✗ the model call failed: {_error(body.error)}", "bad")
            case told.CallCompleted():
                yield from self._calls.pop(body.call_id, _Call(body.attempt)).lines()
            case told.ToolRequested():
                self._tools[body.tool_execution_id] = _Tool()
                yield Line(f"▸ {body.tool} {_arguments(body)}".rstrip(), "loud")
            case told.ToolDenied():
                yield Line(f"  ✗ denied by {_shown(body.rule)}: {_shown(body.reason)}", "bad")
            case told.ToolStarted():
                yield from self._started(body)
            case told.ToolOutput():
                yield from self._output(body)
            case told.ToolCompleted():
                yield from self._done(body)
            case told.CheckpointOpened():
                yield Line(f"■ waits for {_kind(body.kind)}: {body.checkpoint_id}", "loud")
                yield from (Line(f"  {line}") for line in self._view(body.checkpoint_id).splitlines())
            case told.RunCompleted() | told.RunFailed() | told.RunCancelled() | told.RunTimedOut():
                yield from self._ended(body)
            case _:
                yield from _fact(body, run_id)

    def _delta(self, body: told.ResponseDelta | told.ThinkingDelta) -> None:
        call = self._calls.get(body.call_id)
        if call is None or body.attempt > call.attempt:
            call = self._calls[body.call_id] = _Call(body.attempt)
        if body.attempt == call.attempt:
            call.add(body.block, body.delta, thinking=isinstance(body, told.ThinkingDelta))

    def _started(self, body: told.ToolStarted) -> Iterator[Line]:
        before = self._tools.get(body.tool_execution_id, _Tool())
        self._tools[body.tool_execution_id] = _Tool(body.attempt)
        if body.attempt > max(before.attempt, 1):
            yield Line(f"  started anew, attempt {body.attempt}", "quiet")

    def _output(self, body: told.ToolOutput) -> Iterator[Line]:
        tool = self._tools.setdefault(body.tool_execution_id, _Tool())
        stream = tool.streams.setdefault(body.stream, _Stream())
        if body.attempt < tool.attempt or body.offset <= stream.offset:
            return
        stream.offset = body.offset
        *lines, stream.rest = (stream.rest + body.delta).split("\n")
        yield from (Line(f"  │ {_shown(line)}") for line in lines)

    def _done(self, body: told.ToolCompleted) -> Iterator[Line]:
        tool = self._tools.pop(body.tool_execution_id, _Tool())
        yield from tool.rests()
        if not tool.streams:
            shown = body.preview.splitlines()
            yield from (Line(f"  │ {_shown(line)}", "quiet") for line in shown[:_PREVIEWED])
            if len(shown) > _PREVIEWED:
                yield Line(f"  │ … {len(shown) - _PREVIEWED} more lines", "quiet")
        code = f", exit code {body.exit_code}" if body.exit_code is not None else ""
        seconds = f"{body.duration_ms / 1000:.1f} s"
        mark, style = ("✗", "bad") if body.is_error else ("✓", "good")
        yield Line(f"  {mark} {body.outcome}{code}, {seconds}", style)

    def _ended(
        self, body: told.RunCompleted | told.RunFailed | told.RunCancelled | told.RunTimedOut
    ) -> Iterator[Line]:
        self._calls.clear()
        self._tools.clear()
        cost = f", {body.cost_usd:.4f} USD" if body.cost_usd is not None else ""
        good = isinstance(body, told.RunCompleted)
        words = f"{body.type.removeprefix('run.').replace('_', ' ')}: {body.stop_reason}"
        yield Line(
            f"{'●' if good else '✗'} {words}, {body.usage.total} tokens{cost}", "good" if good else "bad"
        )
        if body.error:
            yield Line(f"  {_error(body.error)}", "bad")


def _fact(body: EventBody, run_id: str) -> Iterator[Line]:
    match body:
        case told.RunCreated():
            yield Line(f"{run_id} asks {body.model}", "quiet")
        case told.CapabilityResolved():
            denied = f"; denied: {', '.join(body.denials.names)}" if body.denials.count else ""
            yield Line(f"may use {', '.join(body.grants.names) or 'nothing'}{denied}", "quiet")
        case told.TargetMaterialized():
            yield Line(f"workspace {body.target} is there, generation {body.generation}", "quiet")
        case told.TargetLostEvent():
            yield Line(f"✗ workspace {body.target} is lost, generation {body.generation}", "bad")
        case told.EgressDenied():
            yield Line(f"✗ the box may not reach {_shown(body.host or 'that')}: {_shown(body.reason)}", "bad")
        case told.CheckpointDecided():
            yield Line(f"■ {_DECIDED[body.decision]} by {body.by}: {body.checkpoint_id}", "loud")
        case told.CheckpointExpired() | told.CheckpointCancelled() | told.CheckpointRevoked():
            yield Line(f"■ {body.type.removeprefix('checkpoint.')}: {body.checkpoint_id}", "bad")
        case told.CheckpointDeferred():
            yield Line(f"■ deferred until {body.expires_at}: {body.checkpoint_id}", "loud")
        case told.InputReceived():
            inputs = [text_of(block.content) for block in body.blocks if isinstance(block, InputBlock)]
            yield from (Line(f"» {_shown(line)}", "loud") for text in inputs for line in text.splitlines())
        case told.RunInterrupted():
            yield Line("interrupted; goes on", "loud")
        case told.SubrunStarted() | told.SubrunCompleted():
            yield Line(f"({body.type} {body.child_run_id})", "quiet")
        case _:
            return


_DECIDED = {
    "approve": "approved",
    "deny": "denied",
    "answer": "answered",
    "defer": "deferred",
    "revoke": "revoked",
}


def _kind(kind: str) -> str:
    return {"outcome_unknown": "word of how it ended", "client_tool": "the application"}.get(kind, kind)


def _arguments(body: told.ToolRequested) -> str:
    if body.arguments is None:
        return f"(long arguments, {body.arguments_digest})"
    main = body.arguments.get(_ARGUMENT.get(body.tool, "path"))
    text = main if isinstance(main, str) else json.dumps(body.arguments, ensure_ascii=False)
    text = written(text)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def _shown(line: str) -> str:
    """A line from a model or a program, which must not steer the reader's terminal."""
    return written(line.rstrip().expandtabs())


def _error(error: ErrorBody) -> str:
    return f"{_shown(error.message)} ({error.code})"
