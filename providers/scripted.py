"""The `scripted` provider: a model that says what a file says, with its delays and its faults."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from protocol.block import (
    Block,
    InputBlock,
    ResponseBlock,
    ThinkingBlock,
    ToolCallBlock,
    ToolResultBlock,
    text_of,
)
from protocol.digest import canonical
from protocol.model import Finish, MessageStart, ModelEvent, ModelRequest, StreamError, UsageSnapshot
from protocol.noun import JSON
from protocol.usage import Usage
from providers import failures
from providers.arguments import read_arguments
from providers.assembly import Assembly
from providers.prices import Prices
from providers.script import Fault, Scenario, Script, ScriptedCall, Turn

YIELD_EVERY = 64
"""Deltas between two turns of the event loop where the script asks for no delay."""


@dataclass(frozen=True)
class View:
    """What of a conversation a script looks at."""

    first_input: str
    last_input: str
    last_result: str
    turns: int
    chars: int


def view_of(instructions: str, blocks: Sequence[Block]) -> View:
    """A turn is a run of response, thinking and tool call blocks between those of other kinds."""
    first: str | None = None
    last = result = ""
    turns, chars, answering = 0, len(instructions), False
    for block in blocks:
        if isinstance(block, ToolCallBlock):
            chars += len(block.arguments_raw or "") + len(block.name)
        else:
            text = text_of(block.content)
            chars += len(text)
            if isinstance(block, InputBlock):
                last = text
                first = text if first is None else first
            elif isinstance(block, ToolResultBlock):
                result = text
        speaks = isinstance(block, ResponseBlock | ThinkingBlock | ToolCallBlock)
        turns += speaks and not answering
        answering = speaks
    return View(first or "", last, result, turns, chars)


@dataclass(frozen=True)
class Pause:
    seconds: float


Played = ModelEvent | Pause | Fault
"""A fault comes before the ends of what it cut, which are the last thing played."""


def play(scenario: Scenario, turn: Turn, view: View, *, attempt: int) -> Iterator[Played]:
    """One turn as events and pauses, up to its Finish or the attempt's fault."""
    fault = turn.fault_of(attempt)
    last = None if fault is None else fault.after_deltas
    first_delay = scenario.first_delay_ms if turn.first_delay_ms is None else turn.first_delay_ms
    delay = scenario.delta_delay_ms if turn.delta_delay_ms is None else turn.delta_delay_ms
    assembly = Assembly()
    if first_delay:
        yield Pause(first_delay / 1000)
    if last != 0:
        yield MessageStart(provider_message_id=f"scripted_{view.turns}")
    deltas = _deltas(assembly, turn, view, turn.delta_chars or scenario.delta_chars)
    for index, delta in enumerate(islice(deltas, last)):
        if index and delay:
            yield Pause(delay / 1000)
        elif index % YIELD_EVERY == YIELD_EVERY - 1:
            yield Pause(0)
        yield from delta
    if fault is not None:
        yield fault
        yield from assembly.cut()
        return
    yield from assembly.end_prose()
    for call in tuple(assembly.calls):
        arguments, state, _ = read_arguments(call.raw, cut=turn.reason == "length")
        yield from assembly.end_call(call, arguments, state)
    usage = usage_of(turn, view)
    yield UsageSnapshot(usage=usage, final=True)
    yield Finish(reason=turn.reason, native_reason=turn.reason, usage=usage)


def _deltas(assembly: Assembly, turn: Turn, view: View, size: int) -> Iterator[list[ModelEvent]]:
    for piece in _pieces(_filled(turn.thinking, view), size):
        yield assembly.reasoning(piece)
    for piece in _pieces(_filled(turn.text, view), size):
        yield assembly.refusal(piece) if turn.finish == "refusal" else assembly.text(piece)
    for index, call in enumerate(turn.tool_calls):
        start = assembly.start_call(call.id or f"scripted_{view.turns}_{index}", call.name)
        open_call = assembly.calls[-1]
        for piece in _pieces(_arguments(call, view), size):
            yield start + assembly.arguments(open_call, piece)
            start = []
        if start:
            yield start


def _pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _filled(text: str, view: View) -> str:
    if "{" not in text:
        return text
    parts = text.split("{last_result}")
    return view.last_result.join(part.replace("{input}", view.last_input) for part in parts)


def _arguments(call: ScriptedCall, view: View) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    return canonical(_substituted(call.arguments, view)).decode()


def _substituted(value: JSON, view: View) -> JSON:
    if isinstance(value, str):
        return _filled(value, view)
    if isinstance(value, list):
        return [_substituted(item, view) for item in value]
    if isinstance(value, dict):
        return {key: _substituted(item, view) for key, item in value.items()}
    return value


def usage_of(turn: Turn, view: View) -> Usage:
    """What the script says, else four characters to a token, marked as estimated."""
    told = turn.usage
    if told is None:
        calls = sum(len(call.name) + len(str(call.arguments)) for call in turn.tool_calls)
        taken, given = view.chars // 4, (len(turn.thinking) + len(turn.text) + calls) // 4
        return Usage(input_uncached=taken, output_total=given, total=taken + given, estimated=True)
    return Usage(
        input_uncached=told.input,
        cache_read=told.cache_read,
        cache_write=told.cache_write,
        output_total=told.output,
        output_reasoning=told.reasoning,
        total=told.input + told.cache_read + told.cache_write + told.output,
    )


class ScriptedProvider:
    """Plays a script; a pure function of the request and the attempt, but for the time it takes."""

    def __init__(self, script: Script, *, prices: Prices | None = None, timeout_s: float = 600) -> None:
        self._script = script
        self._prices = prices or Prices({})
        self._timeout = timeout_s

    async def stream(self, request: ModelRequest, *, attempt: int) -> AsyncGenerator[ModelEvent, None]:
        view = view_of(request.instructions, request.blocks)
        scenario = self._script.scenario(request.model, view.first_input)
        if scenario is None:
            message = f"no scenario of the script fits model {request.model!r} and this input"
            yield failures.SCRIPT_EXHAUSTED.told(message)
            return
        turn = scenario.turn(view.turns)
        if turn is None:
            yield failures.SCRIPT_EXHAUSTED.told(f"the script has no turn after {view.turns}")
            return
        fault: Fault | None = None
        partial = False
        for played in play(scenario, turn, view, attempt=attempt):
            if isinstance(played, Pause):
                await asyncio.sleep(played.seconds)
            elif isinstance(played, Fault):
                fault = played
                if fault.fault == "hang":
                    await asyncio.sleep(self._timeout)
            elif isinstance(played, Finish):
                cost = self._prices.cost(request.model, played.usage)
                yield played.model_copy(update={"cost_usd": cost})
            else:
                partial = partial or not isinstance(played, MessageStart)
                yield played
        if fault is not None:
            yield told(fault, partial=partial)

    async def close(self) -> None:
        """Nothing is held open."""


def told(fault: Fault, *, partial: bool) -> StreamError:
    """A fault as the error that a live backend's would become."""
    if fault.fault == "cut":
        kind, message, status = failures.STREAM_TRUNCATED, "the stream ended early", None
    elif fault.fault == "hang":
        kind, message, status = failures.TIMEOUT, "the model did not answer in time", None
    elif fault.fault == "garbage":
        kind, message, status = failures.PROTOCOL_VIOLATION, "the model sent what is not JSON", None
    else:
        status = int(fault.fault.partition(":")[2])
        kind, message = failures.by_status(status), f"the model answered with status {status}"
    return kind.told(message, http_status=status, retry_after_ms=fault.retry_after_ms, partial=partial)
