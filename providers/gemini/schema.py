"""JSON Schema in the older OpenAPI subset, for backends that know only `parameters` and `responseSchema`."""

from protocol.noun import JSON, JSONObject

_TAKEN = {
    *("type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems"),
    *("properties", "required", "minProperties", "maxProperties", "minimum", "maximum", "minLength"),
    *("maxLength", "pattern", "anyOf", "propertyOrdering", "default", "example"),
}
_SILENT = {
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "$ref",
    "$comment",
    "const",
    "oneOf",
    "allOf",
    "examples",
}
_DEEPEST = 8
_MOST = 256


class Cleaner:
    """Rewrites one schema; `dropped` names what could not be said."""

    def __init__(self, schema: JSONObject) -> None:
        self._root = schema
        self._left = _MOST
        self.dropped: set[str] = set()

    def cleaned(self) -> JSONObject:
        return self._schema(self._root, 0) or {"type": "object"}

    def _schema(self, schema: JSON, depth: int) -> JSONObject:
        if not isinstance(schema, dict):
            return {}
        schema, depth = self._inlined(schema, depth)
        out: JSONObject = {key: value for key, value in schema.items() if key in _TAKEN}
        self.dropped |= schema.keys() - _TAKEN - _SILENT
        if "const" in schema:
            out["enum"] = [schema["const"]]
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(branches, list):
            self._union(out, branches, depth)
        for part in _listed(schema.get("allOf")):
            merged = self._schema(part, depth)
            out = {**merged, **out, **_joined(out, merged)}
        self._type(out)
        self._enum(out)
        properties = out.get("properties")
        if isinstance(properties, dict):
            out["properties"] = {name: self._schema(value, depth) for name, value in properties.items()}
        if "items" in out:
            out["items"] = self._schema(out["items"], depth)
        elif out.get("type") == "array":
            out["items"] = {}
        return out

    def _inlined(self, schema: JSONObject, depth: int) -> tuple[JSONObject, int]:
        """The schema with its `$ref` put in place; beyond a depth, or a number of them, any value will do."""
        while isinstance(name := schema.get("$ref"), str):
            depth, self._left = depth + 1, self._left - 1
            found = self._found(name)
            if depth > _DEEPEST or self._left < 0 or found is None:
                self.dropped.add("$ref")
                return {key: value for key, value in schema.items() if key != "$ref"}, depth
            schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema, depth

    def _found(self, name: str) -> JSONObject | None:
        at: JSON = self._root
        if not name.startswith("#"):
            return None
        for step in name[1:].split("/")[1:]:
            at = at.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
        return at if isinstance(at, dict) else None

    def _union(self, out: JSONObject, branches: list[JSON], depth: int) -> None:
        """A branch that is null makes the others nullable; one that is left alone is no union."""
        kept = [
            branch for branch in branches if not (isinstance(branch, dict) and branch.get("type") == "null")
        ]
        if len(kept) < len(branches):
            out["nullable"] = True
        cleaned: list[JSON] = [self._schema(branch, depth) for branch in kept]
        out.pop("anyOf", None)
        if len(cleaned) == 1 and isinstance(cleaned[0], dict):
            out |= {key: value for key, value in cleaned[0].items() if key not in out}
        elif cleaned:
            out["anyOf"] = cleaned

    def _type(self, out: JSONObject) -> None:
        kinds = out.get("type")
        if not isinstance(kinds, list):
            return
        named: list[JSON] = [kind for kind in kinds if kind != "null"]
        if len(named) < len(kinds):
            out["nullable"] = True
        del out["type"]
        if len(named) == 1:
            out["type"] = named[0]
        elif named:
            out["anyOf"] = [{"type": kind} for kind in named]

    def _enum(self, out: JSONObject) -> None:
        """An enumeration is one of non-empty strings there."""
        values = out.get("enum")
        if not isinstance(values, list):
            return
        if None in values:
            out["nullable"] = True
        words: list[JSON] = [value for value in values if isinstance(value, str) and value]
        if words and len(words) == len([value for value in values if value not in (None, "")]):
            out["enum"] = words
            out.setdefault("type", "string")
        else:
            del out["enum"]
            self.dropped.add("enum")


def _listed(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _joined(one: JSONObject, other: JSONObject) -> JSONObject:
    """What two parts of an `allOf` say together."""
    out: JSONObject = {}
    first, second = one.get("properties"), other.get("properties")
    if isinstance(first, dict) and isinstance(second, dict):
        out["properties"] = {**first, **second}
    needed = [*_listed(one.get("required")), *_listed(other.get("required"))]
    if needed:
        out["required"] = list(dict.fromkeys(str(name) for name in needed))
    return out
