"""The other kinds of items in an answer: messages, reasoning, and what the vendor ran itself."""

from typing import Literal, Protocol

from protocol.model import (
    Citation,
    Media,
    ModelEvent,
    ProviderRaw,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    ServerToolEnd,
    ServerToolStart,
    TextDelta,
    TextEnd,
    TextStart,
)
from protocol.noun import JSONObject
from providers.characters import whole
from providers.openai_responses.input import is_whole
from providers.openai_responses.scene import Scene, dict_in, dicts_in, place_in, text_in
from providers.openai_responses.spoken import Spoken

HOSTED = {
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"),
    *("mcp_list_tools", "tool_search_call", "tool_search_output", "program", "program_output"),
    *("shell_call", "shell_call_output"),
}
_STATUSES: dict[str, Literal["failed", "truncated"]] = {"failed": "failed", "incomplete": "truncated"}


class Item(Protocol):
    """One item while it arrives."""

    def begin(self, wire: JSONObject) -> list[ModelEvent]: ...

    def take(self, name: str, event: JSONObject) -> list[ModelEvent]: ...

    def end(self, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        """`wire` is the whole item; empty where only the answer's end closes it, `cut` where a limit did."""
        ...

    def cut(self) -> list[ModelEvent]:
        """The stream died."""
        ...


class _Text:
    """The text block of one content part."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._block: int | None = None
        self._cited = 0
        self.spoken = Spoken()

    def say(self, piece: str) -> list[ModelEvent]:
        return self._tell(self.spoken.feed(piece))

    def cite(self, annotation: JSONObject) -> list[ModelEvent]:
        self._cited += 1
        out = self._open() if self._block is None else []
        return [*out, _citation(self._block or 0, annotation)]

    def fill(self, part: JSONObject) -> list[ModelEvent]:
        """The part as a whole: what it has beyond its pieces is told at the end, its citations now."""
        self.spoken.final = text_in(part, "text") or self.spoken.final
        rest = dicts_in(part, "annotations")[self._cited :]
        return [event for annotation in rest for event in self.cite(annotation)]

    def close(self, part: JSONObject, phase: str) -> list[ModelEvent]:
        cited = self.fill(part)
        settled = self.spoken.settle()
        out = cited + self._tell(settled.rest)
        if self._block is None:
            return []
        out += settled.notices
        opaque = (self._scene.opaque({"phase": phase}),) if phase else ()
        return [*out, TextEnd(block=self._block, text=settled.value, opaque=opaque)]

    def cut(self) -> list[ModelEvent]:
        if self._block is None:
            return []
        return [TextEnd(block=self._block, text=self.spoken.told, truncated=True)]

    def _open(self) -> list[ModelEvent]:
        self._block = self._scene.take()
        return [TextStart(block=self._block)]

    def _tell(self, text: str) -> list[ModelEvent]:
        if not text:
            return []
        out = self._open() if self._block is None else []
        self._scene.chars += len(text)
        return [*out, TextDelta(block=self._block or 0, text=text)]


class Message:
    """What the model said: text parts, each a block, and refusals."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._phase = ""
        self._texts: dict[int, _Text] = {}
        self._refusals: dict[int, Spoken] = {}

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        self._phase = text_in(wire, "phase")
        return []

    def take(self, name: str, event: JSONObject) -> list[ModelEvent]:
        at, part = place_in(event, "content_index") or 0, dict_in(event, "part")
        if name.startswith("response.refusal"):
            return self._refuse(at, text_in(event, "delta"), text_in(event, "refusal"))
        if part.get("type") == "refusal":
            return self._refuse(at, "", text_in(part, "refusal"))
        text = self._text(at)
        match name:
            case "response.output_text.delta":
                return text.say(text_in(event, "delta"))
            case "response.output_text.done":
                text.spoken.final = text_in(event, "text") or text.spoken.final
            case "response.output_text.annotation.added":
                return text.cite(dict_in(event, "annotation"))
            case "response.content_part.done":
                return text.fill(part)
            case _:
                pass
        return []

    def end(self, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        phase = text_in(wire, "phase") or self._phase
        parts = dict(enumerate(dicts_in(wire, "content")))
        for at in sorted(self._texts.keys() | self._refusals.keys() | parts.keys()):
            part = parts.get(at, {})
            if at in self._refusals or part.get("type") == "refusal":
                out += self._refuse(at, "", text_in(part, "refusal"))
                out += self._scene.refuse(self._refusals[at].settle().rest)
            if at in self._texts or part.get("type") == "output_text":
                out += self._text(at).close(part, phase)
        return out

    def cut(self) -> list[ModelEvent]:
        return [event for text in self._texts.values() for event in text.cut()]

    def _text(self, at: int) -> _Text:
        if at not in self._texts:
            self._texts[at] = _Text(self._scene)
        return self._texts[at]

    def _refuse(self, at: int, piece: str, final: str) -> list[ModelEvent]:
        spoken = self._refusals.setdefault(at, Spoken())
        spoken.final = final or spoken.final
        return self._scene.refuse(spoken.feed(piece))


class Reasoning:
    """Reasoning, shown or not, whose whole item goes back to its maker; a compaction is one without text."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._block: int | None = None
        self._form: Literal["full", "summary"] | None = None
        self._at = 0
        self._spoken = Spoken()

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        if self._block is not None:
            return []
        self._block = self._scene.take()
        return [ReasoningStart(block=self._block)]

    def take(self, name: str, event: JSONObject) -> list[ModelEvent]:
        if "text" not in name:
            return []
        form: Literal["full", "summary"] = "summary" if "summary" in name else "full"
        at = place_in(event, f"{'summary' if form == 'summary' else 'content'}_index") or 0
        out = self.begin({})
        if name.endswith(".done") and self._spoken and (form, at) == (self._form, self._at):
            return out
        return out + self._say(form, at, text_in(event, "delta") or text_in(event, "text"))

    def end(self, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        out = self.begin({})
        if self._form is None:
            self._form = "summary" if _texts(wire, "summary") else "full"
        text = _texts(wire, "summary" if self._form == "summary" else "content")
        self._spoken.final = text
        settled = self._spoken.settle()
        shown = self._scene.show_reasoning and bool(settled.value)
        if shown:
            out += self._tell(settled.rest)
            out += settled.notices
        return [*out, self._end(settled.value, wire, shown=shown)]

    def cut(self) -> list[ModelEvent]:
        if self._block is None:
            return []
        shown = self._scene.show_reasoning
        end = self._end(self._spoken.told, {}, shown=shown)
        return [end.model_copy(update={"truncated": True})]

    def _say(self, form: Literal["full", "summary"], at: int, piece: str) -> list[ModelEvent]:
        """The form that comes first is shown; a new part begins a new paragraph."""
        if not piece or (self._form or form) != form:
            return []
        gap = "\n\n" if self._spoken and at != self._at else ""
        self._form, self._at = form, at
        text = self._spoken.feed(gap + piece)
        self._scene.chars += len(text)
        return self._tell(text) if self._scene.show_reasoning else []

    def _tell(self, text: str) -> list[ModelEvent]:
        return [ReasoningDelta(block=self._block or 0, text=text)] if text else []

    def _end(self, text: str, wire: JSONObject, *, shown: bool) -> ReasoningEnd:
        return ReasoningEnd(
            block=self._block or 0,
            text=text if shown else "",
            visibility=(self._form or "omitted") if shown else "omitted",
            opaque=(self._scene.opaque(wire),) if is_whole(wire) else (),
        )


class Hosted:
    """A tool that the vendor runs: its item, whole, goes back to it."""

    def __init__(self, scene: Scene, kind: str) -> None:
        self._scene = scene
        self._name = kind.removesuffix("_call")
        self._block: int | None = None
        self._id = ""

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        if self._block is not None:
            return []
        self._block = self._scene.take()
        self._id = str(whole(text_in(wire, "id"))) or f"{self._name}_{self._block}"
        return [ServerToolStart(block=self._block, call_id=self._id, name=self._name)]

    def take(self, name: str, event: JSONObject) -> list[ModelEvent]:
        return []

    def end(self, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        out = self.begin(wire)
        out.append(self._end(wire))
        image = str(whole(text_in(wire, "result"))) if self._name == "image_generation" else ""
        if image:
            kind = f"image/{whole(text_in(wire, 'output_format')) or 'png'}"
            out.append(Media(block=self._scene.take(), media_type=kind, data=image))
        return out

    def cut(self) -> list[ModelEvent]:
        return [] if self._block is None else [self._end({})]

    def _end(self, wire: JSONObject) -> ServerToolEnd:
        status = "incomplete" if not wire else text_in(wire, "status")
        return ServerToolEnd(
            block=self._block or 0,
            call_id=self._id,
            name=self._name,
            status=_STATUSES.get(status, "completed"),
            opaque=(self._scene.opaque(wire),) if wire else (),
        )


class Foreign:
    """An item of a kind that we do not know."""

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        return []

    def take(self, name: str, event: JSONObject) -> list[ModelEvent]:
        return [ProviderRaw(payload=whole(event))]

    def end(self, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        return [ProviderRaw(payload=whole(wire))] if wire else []

    def cut(self) -> list[ModelEvent]:
        return []


def _citation(block: int, annotation: JSONObject) -> Citation:
    clean = dict_in({"it": whole(annotation)}, "it")
    return Citation(
        block=block,
        kind=text_in(clean, "type") or "annotation",
        uri=text_in(clean, "url") or text_in(clean, "file_id") or None,
        title=text_in(clean, "title") or text_in(clean, "filename") or None,
        raw=clean,
    )


def _texts(wire: JSONObject, name: str) -> str:
    return "\n\n".join(text_in(part, "text") for part in dicts_in(wire, name))
