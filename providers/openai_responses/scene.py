"""What the items of one answer share: the count of its blocks, and what was asked."""

from dataclasses import dataclass

from protocol.block import Opaque, Provenance
from protocol.model import ModelEvent, RefusalDelta
from protocol.noun import JSON, JSONObject
from providers.aliases import Aliases
from providers.characters import whole


@dataclass
class Scene:
    """Blocks are numbered from 0 in the order of their start, whatever numbers the wire has."""

    provenance: Provenance
    aliases: Aliases
    used_ids: set[str]
    show_reasoning: bool
    calls: int = 0
    chars: int = 0
    blocks: int = 0
    refusal: int | None = None

    def take(self) -> int:
        self.blocks += 1
        return self.blocks - 1

    def refuse(self, text: str) -> list[ModelEvent]:
        """A refusal is its deltas; all of an answer are one block."""
        if not text:
            return []
        if self.refusal is None:
            self.refusal = self.take()
        return [RefusalDelta(block=self.refusal, text=text)]

    def opaque(self, payload: JSONObject) -> Opaque:
        item_id = text_in(payload, "id") or None
        known = self.provenance.model_copy(update={"item_id": item_id})
        return Opaque(provenance=known, payload=whole(payload))


def text_in(wire: JSON, name: str) -> str:
    value = wire.get(name) if isinstance(wire, dict) else None
    return value if isinstance(value, str) else ""


def dict_in(wire: JSON, name: str) -> JSONObject:
    value = wire.get(name) if isinstance(wire, dict) else None
    return value if isinstance(value, dict) else {}


def dicts_in(wire: JSON, name: str) -> list[JSONObject]:
    """The entries of a list, each in its place; what is no object is an empty one."""
    value = wire.get(name) if isinstance(wire, dict) else None
    return [one if isinstance(one, dict) else {} for one in value] if isinstance(value, list) else []


def place_in(wire: JSONObject, name: str) -> int | None:
    value = wire.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
