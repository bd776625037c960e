"""Which schemas strict mode takes; the others go out as they are, and are not enforced."""

from protocol.noun import JSON, JSONObject

_KNOWN = {
    *("$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum"),
    *("exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf"),
    *("pattern", "properties", "required", "title", "type"),
}


def is_strict(schema: JSONObject) -> bool:
    """Strict mode wants every object closed, every property required, and no keyword unknown to it."""
    return schema.get("type") == "object" and "anyOf" not in schema and _fits(schema)


def _fits(schema: JSON) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _KNOWN:
        return False
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False or not isinstance(properties, dict):
            return False
        if not isinstance(required, list) or {str(name) for name in required} != set(properties):
            return False
    inner: list[JSON] = []
    for named in (properties, schema.get("$defs", {})):
        inner += named.values() if isinstance(named, dict) else [None]
    choices = schema.get("anyOf", [])
    inner += choices if isinstance(choices, list) else [None]
    inner += [schema["items"]] if "items" in schema else []
    return all(_fits(one) for one in inner)
