"""Blocks as the items of a Responses call: whole items, nothing by reference, outputs in call order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.block import (
    Block,
    DocumentPart,
    ImagePart,
    InputBlock,
    Part,
    Provenance,
    Source,
    SystemBlock,
    TextPart,
    ThinkingBlock,
    ToolCallBlock,
    text_of,
)
from protocol.digest import canonical
from protocol.noun import JSON, JSONObject
from providers.aliases import alias_of
from providers.history import Turn, same_maker, turns_of


@dataclass
class Input:
    """The wire form of a history; `notices` name what had no place in it, `replayed` counts opaque items."""

    wire: list[JSONObject] = field(default_factory=list[JSONObject])
    notices: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    replayed: int = 0


def input_of(blocks: Sequence[Block], *, system_role: str, provenance: Provenance | None) -> Input:
    """`provenance` is whose state may go back: None where the maker refused it."""
    out = Input()
    for turn in turns_of(blocks):
        custom = _said(turn, provenance, out)
        for call, result in turn.answered():
            kind = "custom_tool_call_output" if call.tool_call_id in custom else "function_call_output"
            output = _content(result.content, out.notices)
            out.wire.append({"type": kind, "call_id": call.tool_call_id, "output": output})
        for block in turn.heard:
            if isinstance(block, InputBlock):
                out.wire.append(_message("user", _content(block.content, out.notices)))
            elif isinstance(block, SystemBlock):
                out.wire.append(_message(system_role, text_of(block.content)))
    return out


def _said(turn: Turn, provenance: Provenance | None, out: Input) -> set[str]:
    """The items of an answer; the ids of its custom calls. Reasoning that nothing follows is refused."""
    items: list[JSONObject] = []
    custom: set[str] = set()
    for block in turn.said:
        own = [
            opaque.payload
            for opaque in block.opaque
            if provenance is not None
            and same_maker(opaque.provenance, provenance)
            and isinstance(opaque.payload, dict)
        ]
        if isinstance(block, ThinkingBlock):
            kept = [item for item in own if is_whole(item)]
            if len(kept) < len(block.opaque):
                out.notices.append(("opaque_dropped", "state that this model cannot take back was left out"))
            items += kept
            out.replayed += len(kept)
        elif isinstance(block, ToolCallBlock):
            item = _call(block, own[0] if own else {})
            items.append(item)
            if item["type"] == "custom_tool_call":
                custom.add(block.tool_call_id)
        elif text := text_of(block.content):
            items.append(_message("assistant", text) | (own[0] if own else {}))
    while items and items[-1].get("type") == "reasoning":
        items.pop()
        out.notices.append(("opaque_dropped", "reasoning that nothing came of was left out"))
    out.wire += items
    return custom


def is_whole(item: JSONObject) -> bool:
    """Whether an item stands for itself: one that only names what the vendor stored cannot be found there."""
    kind = item.get("type")
    if kind == "reasoning":
        return bool(item.get("encrypted_content") or item.get("content"))
    return isinstance(kind, str)


def _call(block: ToolCallBlock, own: JSONObject) -> JSONObject:
    """`own` is what the wire's item had beyond the block: its kind and its namespace."""
    named: JSONObject = {"call_id": block.tool_call_id, "name": alias_of(block.name)}
    text = block.arguments.get("input")
    if own.get("type") == "custom_tool_call" and isinstance(text, str):
        return own | named | {"input": text}
    broken = block.arguments_state in ("invalid", "truncated") and block.arguments_raw
    arguments: JSONObject = {"unparsed_arguments": block.arguments_raw} if broken else block.arguments
    return own | {"type": "function_call"} | named | {"arguments": canonical(arguments).decode()}


def _message(role: str, content: JSON) -> JSONObject:
    return {"type": "message", "role": role, "content": content}


def _content(parts: tuple[Part, ...], notices: list[tuple[str, str]]) -> JSON:
    if all(isinstance(part, TextPart) for part in parts) and len(parts) < 2:
        return text_of(parts)
    return [_part(part, notices) for part in parts]


def _part(part: Part, notices: list[tuple[str, str]]) -> JSONObject:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        url = _url(part.source, "image/png")
        if url:
            return {"type": "input_image", "image_url": url, "detail": "auto"}
    elif isinstance(part, DocumentPart):
        if part.source.data is not None:
            url, name = _url(part.source, "application/pdf"), part.filename or "document"
            return {"type": "input_file", "filename": name, "file_data": url}
        if part.source.url:
            return {"type": "input_file", "file_url": part.source.url}
    notices.append(("part_dropped", f"the wire has no place for this {part.type}"))
    return {
        "type": "input_text",
        "text": f"[{part.type}: not shown, this model's interface does not take it]",
    }


def _url(source: Source, default: str) -> str | None:
    if source.data is not None:
        return f"data:{source.media_type or default};base64,{source.data}"
    return source.url
