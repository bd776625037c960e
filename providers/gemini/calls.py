"""Function calls of an answer: most come whole, some value by value until the wire says that was all."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol.digest import canonical
from protocol.model import ModelEvent, Notice
from protocol.noun import JSON, JSONObject
from providers.arguments import read_arguments
from providers.assembly import Assembly, OpenCall
from providers.characters import whole
from providers.gemini.names import Names
from providers.gemini.pieces import Pieces
from providers.gemini.signatures import Signatures


@dataclass
class Growing:
    """A call that the wire has not ended yet."""

    open: OpenCall
    wire_id: str | None
    wire_name: str
    signature: str | None = None
    args: JSON = None
    pieces: Pieces = field(default_factory=Pieces)


class Calls:
    """The tool calls of one answer; `made` counts them."""

    def __init__(
        self, assembly: Assembly, signatures: Signatures, names: Names, used_ids: Iterable[str]
    ) -> None:
        self.made = 0
        self._assembly = assembly
        self._signatures = signatures
        self._names = names
        self._used = set(used_ids)
        self._growing: list[Growing] = []

    def part(self, wire: JSONObject, signature: str | None, *, doubled: bool) -> list[ModelEvent]:
        """One `functionCall`; `doubled` where a key stood twice in its frame."""
        wire_id, name = _text(wire.get("id")), _text(wire.get("name")) or ""
        pieces, goes_on = wire.get("partialArgs"), wire.get("willContinue") is True
        call = self._known(wire_id, name)
        out: list[ModelEvent] = []
        if call is None:
            call, out = self._start(wire_id, name)
        call.signature = signature or call.signature
        for piece in pieces if isinstance(pieces, list) else []:
            call.pieces.add(piece)
        call.args = wire.get("args", call.args)
        if goes_on:
            return out
        if call.pieces.value and call.args not in (None, {}, call.pieces.value):
            out.append(Notice(code="delta_mismatch", detail=f"{call.open.name}: the whole object counts"))
        return out + self._end(call, doubled=doubled)

    def close(self, *, cut: bool) -> list[ModelEvent]:
        """The answer is over: what still grew ends with what is known of it."""
        return [event for call in tuple(self._growing) for event in self._end(call, cut=cut, open_end=True)]

    def _known(self, wire_id: str | None, name: str) -> Growing | None:
        """The call that a part goes on with: the one of its id, else the newest, unless it names another."""
        if wire_id is not None:
            same = [call for call in self._growing if call.wire_id == wire_id]
        else:
            same = [call for call in self._growing if name in ("", call.wire_name)]
        return same[-1] if same else None

    def _start(self, wire_id: str | None, name: str) -> tuple[Growing, list[ModelEvent]]:
        """An id that the session has already seen is replaced: results are matched by it."""
        fresh = wire_id is not None and wire_id not in self._used
        call_id = wire_id if wire_id is not None and fresh else f"call_{secrets.token_hex(12)}"
        self._used.add(call_id)
        self.made += 1
        origin = "wire" if fresh else "synthetic"
        out = self._assembly.start_call(call_id, self._names.restore(name), id_origin=origin)
        call = Growing(self._assembly.calls[-1], wire_id, name)
        self._growing.append(call)
        return call, out

    def _end(
        self, call: Growing, *, doubled: bool = False, cut: bool = False, open_end: bool = False
    ) -> list[ModelEvent]:
        self._growing.remove(call)
        grown = call.args in (None, {}) and bool(call.pieces.value or call.pieces.wrong)
        raw = _raw(call.pieces.value if grown else call.args)
        cut = cut or (open_end and call.pieces.unfinished)
        arguments, state, notices = read_arguments(raw, cut=cut)
        if cut:
            arguments, state = {}, "truncated"
        elif grown and call.pieces.wrong is not None:
            arguments, state, notices = {}, "invalid", (call.pieces.wrong,)
        elif doubled:
            notices = (*notices, "a key stood twice, its last value was kept")
        out: list[ModelEvent] = []
        out += self._assembly.arguments(call.open, raw)
        out += [Notice(code="arguments", detail=f"{call.open.name}: {notice}") for notice in notices]
        opaque = self._signatures.call(call.wire_id, call.signature)
        return out + self._assembly.end_call(call.open, arguments, state, opaque)


def _raw(args: JSON) -> str:
    """The arguments as text; what no canonical form can carry is told as it came, and found invalid."""
    if args is None or isinstance(args, str):
        return str(whole(args)) if args else ""
    try:
        return canonical(whole(args)).decode()
    except ValueError:
        return json.dumps(whole(args))


def _text(value: JSON) -> str | None:
    return str(whole(value)) if isinstance(value, str) and value else None
