"""What stands in one frame: an answer, or a list of answers."""

import json

from protocol.noun import JSON, JSONObject
from providers.reader import NotAnAnswer

_DEEPEST = 200


def read_frame(data: str) -> tuple[list[JSONObject], bool]:
    """The answers, and whether a key stood twice in the arguments of a call: the last value counts."""
    doubled: list[str] = []

    def pairs(items: list[tuple[str, JSON]]) -> JSONObject:
        out = dict(items)
        if len(out) < len(items):
            doubled.append("")
        return out

    try:
        value: JSON = json.loads(data, object_pairs_hook=pairs if '"args"' in data else None)
    except (ValueError, RecursionError) as error:
        raise NotAnAnswer(str(error)) from error
    chunks = value if isinstance(value, list) else [value]
    objects = [chunk for chunk in chunks if isinstance(chunk, dict)]
    if not objects or len(objects) < len(chunks):
        raise NotAnAnswer("it is not an object")
    if data.count("{") + data.count("[") > _DEEPEST and _deep(value):
        raise NotAnAnswer(f"it nests deeper than {_DEEPEST} levels")
    return objects, bool(doubled)


def _deep(value: JSON) -> bool:
    level: list[JSON] = [value]
    for _ in range(_DEEPEST):
        inner: list[JSON] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not inner:
            return False
        level = inner
    return True
