"""A history as its turns: what the model said, what it heard before it spoke again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from protocol.block import (
    Block,
    InputBlock,
    Provenance,
    ResponseBlock,
    SystemBlock,
    ThinkingBlock,
    ToolCallBlock,
    ToolResultBlock,
)


class Unbalanced(ValueError):
    """A history in which a call has no result, or a result no call: never sent."""


@dataclass
class Turn:
    """One assistant turn and what came between it and the next one; `goes_on` in the tool loop at the end."""

    said: list[ResponseBlock | ThinkingBlock | ToolCallBlock] = field(default_factory=list)
    heard: list[InputBlock | SystemBlock | ToolResultBlock] = field(default_factory=list)
    goes_on: bool = False

    def answered(self) -> Iterator[tuple[ToolCallBlock, ToolResultBlock]]:
        """Every call of the turn with its result, in call order; a result after an error takes its place."""
        calls = {block.tool_call_id: block for block in self.said if isinstance(block, ToolCallBlock)}
        results: dict[str, ToolResultBlock] = {}
        for block in self.heard:
            if isinstance(block, ToolResultBlock):
                before = results.get(block.tool_call_id)
                if block.tool_call_id not in calls:
                    raise Unbalanced(f"the result {block.tool_call_id!r} belongs to no call of its turn")
                if before is not None and not before.is_error:
                    raise Unbalanced(f"the call {block.tool_call_id!r} has two results")
                results[block.tool_call_id] = block
        for call_id, call in calls.items():
            if call_id not in results:
                raise Unbalanced(f"the call {call_id!r} has no result")
            yield call, results[call_id]


def turns_of(blocks: Sequence[Block]) -> list[Turn]:
    last_input = max((at for at, block in enumerate(blocks) if isinstance(block, InputBlock)), default=-1)
    turns = [Turn()]
    for at, block in enumerate(blocks):
        if isinstance(block, InputBlock | SystemBlock | ToolResultBlock):
            turns[-1].heard.append(block)
            continue
        if turns[-1].heard:
            turns.append(Turn())
        if not turns[-1].said:
            turns[-1].goes_on = at > last_input
        turns[-1].said.append(block)
    return turns


def same_maker(one: Provenance, other: Provenance) -> bool:
    """Whether opaque state of the one may be replayed to the other."""
    return (one.dialect, one.vendor, one.account_scope, one.model_family) == (
        other.dialect,
        other.vendor,
        other.account_scope,
        other.model_family,
    )
