"""Arguments against a tool's schema, in words with which a model can mend them.

A schema may come with a request, so it is not trusted: no reference leaves it, and no regular expression in
it is run (`pattern` only describes, `patternProperties` is refused), since one could hold a worker for ever.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from protocol.noun import JSON, JSONObject
from protocol.tool import ToolDefinition

_SHOWN = 5
_WIDTH = 200


def check_arguments(definition: ToolDefinition, arguments: JSONObject) -> str | None:
    """What is wrong with the arguments, or None."""
    return check_value(definition.input_schema, arguments)


def check_value(schema: JSONObject, value: JSONObject) -> str | None:
    found = misfit(schema, value)
    return found.text if found else None


class Misfit(NamedTuple):
    """Why a value does not fit; `place` is that of the first fault, empty for the value as a whole."""

    place: str
    text: str


def misfit(schema: JSONObject, value: JSONObject) -> Misfit | None:
    try:
        faults = sorted(_validator(json.dumps(schema)).iter_errors(value), key=_place)
    except (RecursionError, Unresolvable):
        return Misfit("", "the schema refers to itself without an end, or to what is not there")
    if not faults:
        return None
    said = list(dict.fromkeys(line for fault in faults for line in _words(fault)))
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return Misfit(said[0].place, "; ".join(line.text for line in said[:_SHOWN]) + more)


def schema_fault(schema: JSONObject) -> str | None:
    """Why a schema cannot describe a tool's arguments, or None."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"the schema is not JSON Schema 2020-12: {_short(error.message)}"
    if schema.get("type", "object") != "object":
        return 'the schema of a tool\'s arguments has "type": "object"'
    for key, value in _keywords(schema):
        if key == "patternProperties":
            return "`patternProperties` is not taken: name the properties"
        if key in ("$ref", "$dynamicRef") and not (isinstance(value, str) and value.startswith("#")):
            return f"the reference {_short(str(value))} leaves the schema"
    return None


@lru_cache(maxsize=512)
def _validator(schema: str) -> Any:
    return _Validator(json.loads(schema), registry=Registry())


def _no_pattern(*_: object) -> Iterator[ValidationError]:
    return iter(())


_Validator: Any = validators.extend(Draft202012Validator, {"pattern": _no_pattern})


def _keywords(value: JSON) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _keywords(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keywords(item)


def _place(fault: ValidationError) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.absolute_path)
    return "".join(steps).removeprefix(".")


def _words(fault: ValidationError) -> list[Misfit]:
    place = _place(fault)
    prefix = f"{place}." if place else ""
    schema: dict[str, Any] = fault.schema if isinstance(fault.schema, dict) else {}
    known = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
    instance = fault.instance
    if fault.validator == "required" and isinstance(instance, dict):
        missing = [name for name in schema["required"] if name not in instance]
        return [Misfit(prefix + name, f"`{prefix}{name}` is missing") for name in missing]
    if fault.validator == "additionalProperties" and isinstance(instance, dict) and known:
        unknown = [name for name in instance if name not in schema["properties"]]
        places = [_short(prefix + name) for name in unknown]
        return [Misfit(place, f"`{place}` is not an argument; there are {known}") for place in places]
    return [Misfit(place, f"`{place or 'arguments'}`: {_short(fault.message)}")]


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH // 2]} ... {text[-_WIDTH // 2 :]}"
