"""The output of one answer: its items, each found by its id, else by its place."""

from dataclasses import dataclass

from protocol.model import ModelEvent, ProviderRaw
from protocol.noun import JSONObject
from providers.characters import whole
from providers.openai_responses.calls import Call
from providers.openai_responses.items import HOSTED, Foreign, Hosted, Item, Message, Reasoning
from providers.openai_responses.scene import Scene, dict_in, dicts_in, place_in, text_in

_CALLS = {"function_call", "custom_tool_call"}
_KINDS = {
    f"response.{family}.{step}": kind
    for kind, families in {
        "message": ("output_text", "output_text.annotation", "refusal"),
        "reasoning": ("reasoning_text", "reasoning_summary_text", "reasoning_summary_part"),
        "function_call": ("function_call_arguments",),
        "custom_tool_call": ("custom_tool_call_input",),
    }.items()
    for family in families
    for step in ("added", "delta", "done")
}


@dataclass
class Entry:
    """An item, and the names under which the wire speaks of it; `over` once it has ended."""

    kind: str
    id: str
    call_id: str
    place: int | None
    item: Item
    over: bool = False


class Output:
    """Some backends change the ids of an item from event to event, others give every item the same place."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._entries: list[Entry] = []

    def take(self, name: str, event: JSONObject) -> list[ModelEvent] | None:
        """What an event about an item means; None where it is about none."""
        if name in ("response.output_item.added", "response.output_item.done"):
            wire = dict_in(event, "item")
            if not text_in(wire, "type"):
                return [ProviderRaw(payload=whole(event))]
            place = place_in(event, "output_index")
            if name.endswith(".done"):
                return self._done(wire, place)
            if self._named(wire) is not None:
                return []
            return self._add(wire, place).item.begin(wire)
        kind = _kind(name, event)
        if kind is None:
            return None
        entry = self._at(kind, event) or self._add(
            {"type": kind, "id": event.get("item_id")}, place_in(event, "output_index")
        )
        return [] if entry.over else entry.item.take(name, event)

    def close(self, response: JSONObject, *, cut: bool) -> list[ModelEvent]:
        """The answer is over: what its last event still tells of items, then the ends that never came."""
        out: list[ModelEvent] = []
        for place, wire in enumerate(dicts_in(response, "output")):
            kind = text_in(wire, "type")
            known = self._named(wire) or next(
                (one for one in self._entries if (one.kind, one.place) == (kind, place)), None
            )
            if kind and (known is None or not known.over):
                out += self._end(known or self._add(wire, place), wire, cut=cut)
        for entry in self._entries:
            if not entry.over:
                out += self._end(entry, {}, cut=cut)
        return out

    def cut(self) -> list[ModelEvent]:
        return [event for entry in self._entries if not entry.over for event in entry.item.cut()]

    def _done(self, wire: JSONObject, place: int | None) -> list[ModelEvent]:
        entry = self._named(wire)
        if entry is None:
            entry = self._at(text_in(wire, "type"), {"output_index": place})
        if entry is not None and entry.over:
            return []
        return self._end(entry or self._add(wire, place), wire, cut=False)

    def _end(self, entry: Entry, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        entry.over = True
        return entry.item.end(wire, cut=cut)

    def _add(self, wire: JSONObject, place: int | None) -> Entry:
        kind = text_in(wire, "type")
        entry = Entry(kind, text_in(wire, "id"), text_in(wire, "call_id"), place, self._item(kind))
        self._entries.append(entry)
        return entry

    def _item(self, kind: str) -> Item:
        if kind == "message":
            return Message(self._scene)
        if kind in ("reasoning", "compaction"):
            return Reasoning(self._scene)
        if kind in _CALLS:
            return Call(self._scene, kind)
        return Hosted(self._scene, kind) if kind in HOSTED else Foreign()

    def _named(self, wire: JSONObject) -> Entry | None:
        item_id, call_id, kind = (text_in(wire, name) for name in ("id", "call_id", "type"))
        return next(
            (
                one
                for one in self._entries
                if one.kind == kind
                and ((item_id and one.id == item_id) or (call_id and one.call_id == call_id))
            ),
            None,
        )

    def _at(self, kind: str, event: JSONObject) -> Entry | None:
        """By id, else the newest open one at the place, else, without both, the newest open one."""
        item_id, place = text_in(event, "item_id"), place_in(event, "output_index")
        found: Entry | None = None
        for one in reversed(self._entries):
            if one.kind == kind and item_id and one.id == item_id:
                return one
            if (
                found is None
                and one.kind == kind
                and not one.over
                and (place is None or one.place in (place, None))
            ):
                found = one
        return found


def _kind(name: str, event: JSONObject) -> str | None:
    if name in ("response.content_part.added", "response.content_part.done"):
        part = text_in(dict_in(event, "part"), "type")
        return "reasoning" if part == "reasoning_text" else "message"
    return _KINDS.get(name)
