"""The schema of a policy: rules that speak of what is not there are refused before they decide anything.

Cedar checks no further behind a condition that its types make false, which hides a misspelt word behind
`context.arguments has ...` (arguments are open) or behind its own misspelt `has`. So each rule is checked as
it stands, for its guards, and once more with every such condition made open, for its words.
"""

import json
import re
from functools import cache
from importlib import resources
from typing import NamedTuple, cast

import cedarpy

from protocol.noun import JSON, JSONObject

SCHEMA = "schema.cedarschema"

_CONNECTIVES = frozenset({"&&", "||", "!", "if-then-else"})
_OPEN: JSONObject = {
    "contains": {
        "left": {".": {"left": {"Var": "context"}, "attr": "labels"}},
        "right": {"Value": "?"},
    }
}
_ARGUMENTS: JSONObject = {"left": {"Var": "context"}, "attr": "arguments"}
_PREFIX = "for policy `policy0`, "
_NAMES = re.compile("not found|unrecognized")
_WORDS = re.compile(r"[`\"]([A-Za-z_][A-Za-z0-9_.]*(?:::\"[^\"]*)?)[`\"]")


class Fault(NamedTuple):
    """What is wrong with a rule, and the word of its text that is, where one can be named."""

    why: str
    words: tuple[str, ...]


def schema_fault(text: str, parsed: JSONObject) -> Fault | None:
    """Why a rule (its text, and Cedar's JSON of it) does not fit the schema; None where it does."""
    as_it_stands, open_form = _schemas()
    faults = _errors(text, as_it_stands) or _errors(_opened(parsed), open_form)
    if not faults:
        return None
    why = min(faults, key=lambda fault: (not _NAMES.search(fault), fault))
    if "safety of access" in why:
        why += " (guard it: `... has <name> && ...`)"
    elif "attribute `arguments." in why:
        why += " (guard each argument: `context has arguments && context.arguments has <name> && ...`)"
    return Fault(why, tuple(word.split(".")[-1].split('::"')[-1] for word in _WORDS.findall(why)))


@cache
def _schemas() -> tuple[cedarpy.Schema, cedarpy.Schema]:
    text = resources.files("capabilities").joinpath(SCHEMA).read_text(encoding="utf-8")
    return cedarpy.Schema.from_str(text), cedarpy.Schema.from_str(text.replace("?:", ":"))


def _errors(text: str, schema: cedarpy.Schema) -> list[str]:
    found = cedarpy.validate_policies(text, schema)
    return [error.error.removeprefix(_PREFIX) for error in found.errors]


def _opened(parsed: JSONObject) -> str:
    rules = cast(dict[str, JSONObject], parsed["staticPolicies"])
    opened: JSONObject = {}
    for name, rule in rules.items():
        conditions = cast(list[JSONObject], rule["conditions"])
        opened[name] = {**rule, "conditions": [{**one, "body": _open(one["body"])} for one in conditions]}
    return cedarpy.policies_from_json_str(json.dumps({**parsed, "staticPolicies": opened}))


def _open(node: JSON) -> JSON:
    """A condition without a part that the types could make false for good."""
    if not isinstance(node, dict):
        return node
    [(operator, inside)] = node.items()
    if operator in _CONNECTIVES:
        parts = cast(JSONObject, inside)
        return {operator: {name: _open(part) for name, part in parts.items()}}
    reads = _reads(node)
    if operator != "has" and not any(_is_argument(read) for read in reads):
        return node
    opened: JSON = _OPEN
    for read in reads:
        if not _is_argument(read):
            opened = {"&&": {"left": opened, "right": {"==": {"left": read, "right": read}}}}
    return opened


def _reads(node: JSON) -> list[JSONObject]:
    """The outermost attributes that an expression reads or asks for."""
    if isinstance(node, list):
        return [read for part in node for read in _reads(part)]
    if not isinstance(node, dict):
        return []
    for operator in (".", "has"):
        inside = node.get(operator)
        if isinstance(inside, dict) and "attr" in inside:
            return [{".": inside}]
    return [read for part in node.values() for read in _reads(part)]


def _is_argument(read: JSON) -> bool:
    inside = read.get(".") if isinstance(read, dict) else None
    if not isinstance(inside, dict):
        return False
    return inside == _ARGUMENTS or _is_argument(inside.get("left"))
