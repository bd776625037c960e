"""Blocks as the wire's contents: every signed part as it came, every call answered in call order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from protocol.block import (
    Block,
    InputBlock,
    Part,
    Provenance,
    ResponseBlock,
    SystemBlock,
    TextPart,
    ThinkingBlock,
    ToolCallBlock,
    text_of,
)
from protocol.digest import canonical
from protocol.noun import JSONObject
from providers.gemini.names import wire_name
from providers.gemini.parts import Wire, fits_result, part_of
from providers.gemini.signatures import SIGNATURE, SKIPPED, TOKEN, own_of, parts_in, spans_in
from providers.gemini.thinking import signs
from providers.history import Turn, turns_of


@dataclass
class Contents:
    """The wire form of a history; `token` goes on with a paused answer, `notices` name what is missing."""

    provenance: Provenance
    wire: list[Wire] = field(default_factory=list[Wire])
    notices: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    token: str | None = None

    def add(self, blocks: Sequence[Block]) -> None:
        turns = turns_of(blocks)
        for turn in turns:
            if turn is turns[-1] and not turn.heard:
                self.token = self._token_of(turn)
            if self.token is None:
                self._append("model", self._said(turn))
            self._append("user", self._heard(turn))

    def _append(self, role: str, parts: list[Wire]) -> None:
        """Neighbours of one role are one content; empty text says nothing, unless it is signed."""
        parts = [part for part in parts if part.get("text") != "" or SIGNATURE in part]
        before = self.wire[-1]["parts"] if self.wire and self.wire[-1]["role"] == role else None
        if isinstance(before, list):
            before.extend(parts)
        elif parts:
            self.wire.append({"role": role, "parts": parts})

    def _token_of(self, turn: Turn) -> str | None:
        """An answer that paused goes on by its token alone: the request is the same otherwise."""
        for block in turn.said[-1:]:
            for payload in own_of(block.opaque, self.provenance, []):
                token = payload.get(TOKEN)
                if isinstance(token, str):
                    return token
        return None

    def _said(self, turn: Turn) -> list[Wire]:
        out: list[Wire] = []
        unsigned = signs(self.provenance.model_family)
        for block in turn.said:
            payloads = own_of(block.opaque, self.provenance, self.notices)
            if isinstance(block, ToolCallBlock):
                call = self._call(block, payloads)
                if unsigned:
                    call.setdefault(SIGNATURE, SKIPPED)
                unsigned = False
                out.append(call)
            elif isinstance(block, ThinkingBlock):
                out += [part for payload in payloads for part in parts_in(payload)]
            else:
                out += self._response(block, payloads)
        return out

    def _response(self, block: ResponseBlock, payloads: list[JSONObject]) -> list[Wire]:
        """Text is cut where the vendor's own signed parts ended."""
        text, out, at = text_of(block.content), list[Wire](), 0
        for start, end, signature in (span for payload in payloads for span in spans_in(payload)):
            if end > len(text):
                self.notices.append(("opaque_dropped", "a text was no longer what was signed"))
                break
            out.append({"text": text[at:start]})
            out.append({"text": text[start:end], SIGNATURE: signature})
            at = end
        out.append({"text": text[at:]})
        shown = [part for part in block.content if not isinstance(part, TextPart)]
        return out + [self._part(part) for part in shown]

    def _call(self, block: ToolCallBlock, payloads: list[JSONObject]) -> Wire:
        """What did not parse goes back inside an object: the wire takes no other arguments."""
        broken = block.arguments_state in ("invalid", "truncated") and block.arguments_raw
        arguments = {"unparsed_arguments": block.arguments_raw} if broken else block.arguments
        call: Wire = {"name": wire_name(block.name), "args": orjson.Fragment(canonical(arguments))}
        out: Wire = {"functionCall": call}
        for payload in payloads:
            if "id" in payload:
                call["id"] = payload["id"]
            if SIGNATURE in payload:
                out[SIGNATURE] = payload[SIGNATURE]
        return out

    def _heard(self, turn: Turn) -> list[Wire]:
        """The results of a turn, then what a result cannot carry, then what was said to the model."""
        out: list[Wire] = []
        shown: list[Wire] = []
        for call, result in turn.answered():
            response: Wire = {"name": wire_name(call.name)}
            for payload in own_of(call.opaque, self.provenance, []):
                if "id" in payload:
                    response["id"] = payload["id"]
            texts, media = self._result(result.content, call.name, shown)
            response["response"] = {"error" if result.is_error else "output": "\n".join(texts)}
            if media:
                response["parts"] = media
            out.append({"functionResponse": response})
        out += shown
        for block in turn.heard:
            if isinstance(block, InputBlock):
                out += [self._part(part) for part in block.content]
            elif isinstance(block, SystemBlock):
                out.append({"text": f"<system>\n{text_of(block.content)}\n</system>"})
        return out

    def _result(
        self, content: tuple[Part, ...], name: str, shown: list[Wire]
    ) -> tuple[list[str], list[Wire]]:
        texts: list[str] = []
        media: list[Wire] = []
        inside = signs(self.provenance.model_family)
        for part in content:
            wire = self._part(part)
            if "text" in wire:
                texts.append(str(wire["text"]))
            elif inside and fits_result(wire):
                media.append(wire)
            else:
                texts.append(f"[{part.type}: see below]")
                shown.append({"text": f"The {part.type} of a result of {name}:"})
                shown.append(wire)
        return texts, media

    def _part(self, part: Part) -> Wire:
        return part_of(part, host=self.provenance.vendor, notices=self.notices)
