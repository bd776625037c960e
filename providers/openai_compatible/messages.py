"""Blocks as Chat Completions messages: every tool call answered, in call order, right after it was made."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.block import (
    AudioPart,
    Block,
    DocumentPart,
    ImagePart,
    InputBlock,
    Part,
    Provenance,
    ResponseBlock,
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

REASONING_FIELDS = {"reasoning_content", "reasoning", "reasoning_details"}


@dataclass
class Messages:
    """The wire form of a history; `notices` name what had no place in it."""

    wire: list[JSONObject]
    notices: list[tuple[str, str]]


def messages_of(
    instructions: str, blocks: Sequence[Block], *, system_role: str, provenance: Provenance
) -> Messages:
    out = Messages([], [])
    if instructions:
        out.wire.append({"role": system_role, "content": instructions})
    for turn in turns_of(blocks):
        replayed = provenance if turn.goes_on else None
        _assistant(turn, replayed, out)
        _results(turn, out)
        for block in turn.heard:
            if isinstance(block, InputBlock):
                out.wire.append({"role": "user", "content": _content(block.content, out.notices)})
            elif isinstance(block, SystemBlock):
                out.wire.append({"role": system_role, "content": text_of(block.content)})
    return out


def _assistant(turn: Turn, provenance: Provenance | None, out: Messages) -> None:
    text = "".join(text_of(block.content) for block in turn.said if isinstance(block, ResponseBlock))
    calls: list[JSON] = [_call(block) for block in turn.said if isinstance(block, ToolCallBlock)]
    if not text and not calls:
        return
    message: JSONObject = {"role": "assistant", "content": text or None}
    for block in turn.said:
        if isinstance(block, ThinkingBlock):
            _replay(block, provenance if calls else None, message, out)
    if calls:
        message["tool_calls"] = calls
    out.wire.append(message)


def _replay(block: ThinkingBlock, provenance: Provenance | None, message: JSONObject, out: Messages) -> None:
    """Reasoning goes back to its own maker and only inside the tool loop that it belongs to.

    Makers that need it refuse the loop without it; others refuse it in turns that are over.
    """
    for opaque in block.opaque:
        if provenance is None or not same_maker(opaque.provenance, provenance):
            if provenance is not None:
                out.notices.append(("opaque_dropped", "reasoning of another model was left out"))
            continue
        payload = opaque.payload
        if isinstance(payload, dict) and payload.get("field") in REASONING_FIELDS:
            name, value = str(payload["field"]), payload.get("value")
            before = message.get(name)
            if isinstance(before, list) and isinstance(value, list):
                value = [*before, *value]
            elif isinstance(before, str) and isinstance(value, str):
                value = before + value
            message[name] = value


def _call(block: ToolCallBlock) -> JSONObject:
    """What did not parse goes back inside an object: many backends parse the arguments of a history."""
    broken = block.arguments_state in ("invalid", "truncated") and block.arguments_raw
    arguments: JSONObject = {"unparsed_arguments": block.arguments_raw} if broken else block.arguments
    function: JSONObject = {"name": alias_of(block.name), "arguments": canonical(arguments).decode()}
    return {"id": block.tool_call_id, "type": "function", "function": function}


def _results(turn: Turn, out: Messages) -> None:
    """The tool messages of a turn, then one user message with what a tool message cannot carry."""
    shown: list[JSON] = []
    for call, result in turn.answered():
        text = _tool_text(call.tool_call_id, result.content, shown, out.notices)
        out.wire.append({"role": "tool", "tool_call_id": call.tool_call_id, "content": text})
    if shown:
        out.wire.append({"role": "user", "content": shown})


def _tool_text(
    call_id: str, content: tuple[Part, ...], shown: list[JSON], notices: list[tuple[str, str]]
) -> str:
    texts: list[str] = []
    for part in content:
        if isinstance(part, TextPart):
            texts.append(part.text)
            continue
        wire = _part(part, notices)
        if wire["type"] == "text":
            texts.append(str(wire["text"]))
        else:
            texts.append(f"[{part.type}: see the next message]")
            shown.append({"type": "text", "text": f"The {part.type} of tool result {call_id}:"})
            shown.append(wire)
    return "\n".join(texts)


def _content(parts: tuple[Part, ...], notices: list[tuple[str, str]]) -> JSON:
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return [_part(part, notices) for part in parts]


def _part(part: Part, notices: list[tuple[str, str]]) -> JSONObject:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        if part.source.type == "url" and part.source.url:
            return {"type": "image_url", "image_url": {"url": part.source.url}}
        if part.source.data is not None:
            return {"type": "image_url", "image_url": {"url": _data_url(part.source, "image/png")}}
    elif isinstance(part, AudioPart) and part.source.data is not None:
        kind = (part.source.media_type or "").rpartition("/")[2].removeprefix("x-")
        kind = {"mpeg": "mp3", "wave": "wav"}.get(kind, kind)
        if kind in ("wav", "mp3"):
            return {"type": "input_audio", "input_audio": {"data": part.source.data, "format": kind}}
    elif isinstance(part, DocumentPart) and part.source.data is not None:
        url = _data_url(part.source, "application/pdf")
        return {"type": "file", "file": {"filename": part.filename or "document", "file_data": url}}
    notices.append(("part_dropped", f"the wire has no place for this {part.type}"))
    return {"type": "text", "text": f"[{part.type}: not shown, this model's interface does not take it]"}


def _data_url(source: Source, default: str) -> str:
    return f"data:{source.media_type or default};base64,{source.data}"
