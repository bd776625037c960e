"""Tool calls put together from their fragments, for backends that agree on little.

A fragment belongs to the call at its index, unless it brings another id: then a second call begins there.
Without an index it belongs to the call with its id, without both to the last call. A call starts when its
id and whole name are known, or when the stream closes; calls start in the order in which they were made.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol.digest import canonical
from protocol.model import ModelEvent, Notice
from protocol.noun import JSON, JSONObject
from providers.aliases import Aliases
from providers.arguments import read_arguments
from providers.assembly import Assembly, OpenCall
from providers.characters import Joiner, whole

LEGACY = "function_call"


@dataclass
class Pending:
    """A call as far as it is known."""

    index: int | str | None
    id: str = ""
    name: str = ""
    waiting: list[str] = field(default_factory=list[str])
    open: OpenCall | None = None
    joiner: Joiner = field(default_factory=Joiner)
    heard: bool = False


class Calls:
    """The tool calls of one answer."""

    def __init__(self, assembly: Assembly, aliases: Aliases, used_ids: Iterable[str]) -> None:
        self._assembly = assembly
        self._aliases = aliases
        self._used = set(used_ids)
        self._calls: list[Pending] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def fragment(self, wire: JSONObject) -> list[ModelEvent]:
        """One entry of `delta.tool_calls`."""
        function = wire.get("function")
        function = function if isinstance(function, dict) else {}
        index = wire.get("index")
        if isinstance(index, bool) or not isinstance(index, int | str):
            index = None
        call_id, name = _text(wire.get("id")), _text(function.get("name"))
        call = self._at(index, call_id, name)
        if call_id and not call.id:
            call.id = call_id
        if name and not call.heard and name != call.name:
            call.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = canonical(arguments).decode()
        if isinstance(arguments, str) and arguments:
            call.heard = True
            call.waiting.append(arguments)
        return self._advance()

    def legacy(self, wire: JSONObject) -> list[ModelEvent]:
        """`delta.function_call`: one call without an id."""
        return self.fragment({"index": LEGACY, "function": wire})

    def parse(self) -> bool:
        """Whether every call reads as complete arguments by now."""
        return all(
            read_arguments("".join([call.open.raw if call.open else "", *call.waiting]), cut=False).state
            in ("ok", "empty")
            for call in self._calls
        )

    def close(self, *, cut: bool) -> list[ModelEvent]:
        """The wire closed all calls; `cut` where the output limit did."""
        out = self._advance(closing=True)
        for call in self._calls:
            if call.open is None:
                continue
            out += self._assembly.arguments(call.open, call.joiner.end())
            arguments, state, notices = read_arguments(call.open.raw, cut=cut)
            out += [Notice(code="arguments", detail=f"{call.open.name}: {notice}") for notice in notices]
            out += self._assembly.end_call(call.open, arguments, state)
        return out

    def _at(self, index: int | str | None, call_id: str, name: str) -> Pending:
        known = self._known(index, call_id, name)
        if known is not None:
            return known
        self._calls.append(Pending(index))
        return self._calls[-1]

    def _known(self, index: int | str | None, call_id: str, name: str) -> Pending | None:
        same = [call for call in self._calls if index is None or call.index == index]
        twins = [call for call in same if call_id and call.id == call_id]
        if twins:
            return twins[-1]
        if not same:
            return None
        last = same[-1]
        if call_id and (last.id or (index is None and name)):
            return None
        if name and last.heard and (index is None or name != last.name):
            return None
        return last

    def _advance(self, *, closing: bool = False) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        for call in self._calls:
            if call.open is None:
                if not closing and not (call.id and call.name and call.heard):
                    break
                out += self._start(call)
            if call.open is not None and call.waiting:
                out += self._assembly.arguments(call.open, call.joiner.feed("".join(call.waiting)))
                call.waiting.clear()
        return out

    def _start(self, call: Pending) -> list[ModelEvent]:
        """An id that the session has already seen is replaced: results are matched by it."""
        fresh = bool(call.id) and call.id not in self._used
        call_id = call.id if fresh else f"call_{secrets.token_hex(12)}"
        self._used.add(call_id)
        name = self._aliases.restore(call.name)
        out = self._assembly.start_call(call_id, name, id_origin="wire" if fresh else "synthetic")
        call.open = self._assembly.calls[-1]
        return out


def _text(value: JSON) -> str:
    return str(whole(value)) if isinstance(value, str) else ""
