"""Arguments that arrive value by value, each with its path into the object (RFC 9535, singular paths)."""

import re
from dataclasses import dataclass, field
from typing import cast

from protocol.noun import JSON, JSONObject
from protocol.strict import MAX_DEPTH
from providers.characters import whole

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]]+)|\[(?P<index>\d{1,4})\]|\['(?P<one>(?:[^'\\]|\\.)*)'\]|\["(?P<two>(?:[^"\\]|\\.)*)"\]"""
)
_VALUES = ("stringValue", "numberValue", "boolValue")


@dataclass
class Pieces:
    """The object as far as it is known; `wrong` says what did not fit into it."""

    value: JSONObject = field(default_factory=dict[str, JSON])
    wrong: str | None = None
    _strings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def unfinished(self) -> bool:
        """Whether some string was told to go on."""
        return bool(self._strings)

    def add(self, piece: JSON) -> None:
        """One entry of `partialArgs`; a string may come in several, in order."""
        if not isinstance(piece, dict):
            self.wrong = "a piece is not an object"
            return
        path = str(piece.get("jsonPath"))
        steps = _steps(path)
        if not steps:
            self.wrong = f"{path!r} is not a path to one value"
            return
        value = next((piece[name] for name in _VALUES if name in piece), None)
        if isinstance(value, str):
            texts = self._strings.setdefault(path, [])
            texts.append(value)
            value = whole("".join(texts))
        if piece.get("willContinue") is not True:
            self._strings.pop(path, None)
        if not _put(self.value, steps, value):
            self.wrong = f"{path!r} does not fit what came before"


def _steps(path: str) -> list[str | int]:
    """Empty where the path cannot be followed."""
    out: list[str | int] = []
    at = 1
    while path.startswith("$") and at < len(path):
        step = _STEP.match(path, at)
        if step is None or len(out) >= MAX_DEPTH:
            return []
        index, name = step["index"], step["name"]
        quoted = step["one"] if step["one"] is not None else step["two"]
        if index is not None:
            out.append(int(index))
        else:
            out.append(str(whole(name if name is not None else re.sub(r"\\(.)", r"\1", quoted))))
        at = step.end()
    return out


def _put(root: JSONObject, steps: list[str | int], value: JSON) -> bool:
    """Whether there was a place; containers on the way are made, a list grows by one at a time."""
    at: JSON = root
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        fresh: JSON = value if following is None else ([] if isinstance(following, int) else {})
        if isinstance(at, dict) and isinstance(step, str):
            if following is None or step not in at:
                at[step] = fresh
            at = at[step]
        elif isinstance(at, list) and isinstance(step, int) and step <= len(at):
            items = cast(list[JSON], at)
            if step == len(items):
                items.append(fresh)
            elif following is None:
                items[step] = fresh
            at = items[step]
        else:
            return False
    return True
