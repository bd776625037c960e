"""Blocks as Messages: user and assistant in turn, all results of a turn first in the message that follows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import orjson

from protocol.block import (
    Block,
    InputBlock,
    Opaque,
    Provenance,
    ResponseBlock,
    SystemBlock,
    ToolCallBlock,
    ToolResultBlock,
    text_of,
)
from protocol.digest import canonical
from protocol.noun import JSON, JSONObject
from providers.aliases import alias_of
from providers.anthropic.parts import content_of, text_block
from providers.history import Turn, same_maker, turns_of

THINKING = {"thinking", "redacted_thinking"}
SERVER_CALLS = {"server_tool_use", "mcp_tool_use"}
_NOTHING_SAID = "[The conversation begins without a message.]"

Entry = tuple[Literal["user", "assistant", "system"], list[JSON]]


@dataclass
class Messages:
    """The wire form of a history. `system` stood before its first message; `unthought` is a tool loop that
    goes on and did not begin with reasoning, `replays` whether reasoning goes back; `notices` name what had
    no place."""

    wire: list[JSONObject] = field(default_factory=list[JSONObject])
    system: list[JSON] = field(default_factory=list[JSON])
    unthought: bool = False
    replays: bool = False
    notices: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def messages_of(
    blocks: Sequence[Block], *, provenance: Provenance, replay: bool, inner_system: bool
) -> Messages:
    """`replay` sends reasoning back to its maker; `inner_system` keeps system text where it stood."""
    out = Messages()
    turns = turns_of(blocks)
    loop = _open_loop(turns)
    entries: list[Entry] = []
    for at, turn in enumerate(turns):
        said = _said(turn, provenance, replay=replay and at >= loop, out=out)
        if at == loop and said and _type(said[0]) not in THINKING:
            out.unthought = any(isinstance(block, ToolCallBlock) for block in turn.said)
        heard, orders = _heard(turn, out)
        made: tuple[Entry, ...] = (("assistant", said), ("user", heard), ("system", orders))
        entries += [entry for entry in made if entry[1]]
    _place(entries, out, inner_system=inner_system)
    _settle_ends(out)
    return out


def _open_loop(turns: list[Turn]) -> int:
    """The first turn of the tool loop that the next answer goes on with; input in between does not end it."""
    at = len(turns)
    while at and turns[at - 1].said and (_calls(turns[at - 1]) or (at == len(turns) and not turns[-1].heard)):
        at -= 1
    return at


def _calls(turn: Turn) -> bool:
    return any(isinstance(block, ToolCallBlock) for block in turn.said)


def _said(turn: Turn, provenance: Provenance, *, replay: bool, out: Messages) -> list[JSON]:
    content: list[JSON] = []
    for block in turn.said:
        if isinstance(block, ToolCallBlock):
            content.append(_call(block))
            continue
        content += _opaque(block.opaque, provenance, replay=replay, out=out)
        if isinstance(block, ResponseBlock):
            content += content_of(block.content, out.notices)
    return content


def _opaque(states: Sequence[Opaque], provenance: Provenance, *, replay: bool, out: Messages) -> list[JSON]:
    """The vendor's own items as they came. Reasoning goes back inside its tool loop only."""
    content: list[JSON] = []
    for state in states:
        kind = _type(state.payload)
        if not same_maker(state.provenance, provenance):
            out.notices.append(("opaque_dropped", "reasoning of another model was left out"))
        elif replay or kind not in THINKING:
            out.replays = out.replays or kind in THINKING
            content.append(state.payload)
    return content


def _call(block: ToolCallBlock) -> JSONObject:
    """What did not parse goes back inside an object: the wire takes no text there."""
    broken = block.arguments_state in ("invalid", "truncated") and block.arguments_raw
    arguments: JSONObject = {"unparsed_arguments": block.arguments_raw} if broken else block.arguments
    return {
        "type": "tool_use",
        "id": alias_of(block.tool_call_id),
        "name": alias_of(block.name),
        "input": cast(JSON, orjson.Fragment(canonical(arguments))),
    }


def _heard(turn: Turn, out: Messages) -> tuple[list[JSON], list[JSON]]:
    """What the user message holds, and the system text beside it."""
    content: list[JSON] = [_result(call, result, out) for call, result in turn.answered()]
    orders: list[JSON] = []
    for block in turn.heard:
        if isinstance(block, InputBlock):
            content += content_of(block.content, out.notices)
        elif isinstance(block, SystemBlock) and text_of(block.content).strip():
            orders.append(text_block(text_of(block.content)))
    return content, orders


def _result(call: ToolCallBlock, result: ToolResultBlock, out: Messages) -> JSONObject:
    wire: JSONObject = {"type": "tool_result", "tool_use_id": alias_of(call.tool_call_id)}
    content = content_of(result.content, out.notices)
    if not content and result.is_error:
        content.append(text_block("[no output]"))
    if content:
        only = content[0] if len(content) == 1 else None
        text = only.get("text") if isinstance(only, dict) else None
        wire["content"] = content if text is None else text
    if result.is_error:
        wire["is_error"] = True
    return wire


def _place(entries: list[Entry], out: Messages, *, inner_system: bool) -> None:
    """Neighbours of one role become one message. System text may stand after a user message if an assistant's
    or nothing follows it; elsewhere it becomes part of the user's, marked."""
    for at, (role, content) in enumerate(entries):
        before = out.wire[-1]["role"] if out.wire else None
        after = entries[at + 1][0] if at + 1 < len(entries) else "assistant"
        if role == "system":
            if before is None:
                out.system += content
                continue
            if not (inner_system and before == "user" and after == "assistant"):
                out.notices.append(("system_folded", "system text went into a user message, marked as such"))
                role, content = "user", [_marked(block) for block in content]
        if before == role:
            cast(list[JSON], out.wire[-1]["content"]).extend(content)
        else:
            out.wire.append({"role": role, "content": content})


def _marked(block: JSON) -> JSON:
    text = block["text"] if isinstance(block, dict) else ""
    return text_block(f"<system-message>\n{text}\n</system-message>")


def _settle_ends(out: Messages) -> None:
    """The first message is a user's; the last one, if it is the assistant's, does not end in blanks."""
    if not out.wire or out.wire[0]["role"] != "user":
        out.wire.insert(0, {"role": "user", "content": [text_block(_NOTHING_SAID)]})
    last = out.wire[-1]
    content = cast(list[JSON], last["content"])
    end = content[-1]
    if last["role"] == "assistant" and isinstance(end, dict) and end["type"] == "text":
        content[-1] = {**end, "text": str(end["text"]).rstrip()}


def _type(payload: JSON) -> str:
    kind = payload.get("type") if isinstance(payload, dict) else None
    return kind if isinstance(kind, str) else ""
