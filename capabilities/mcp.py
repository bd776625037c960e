"""What an MCP server lists, as something to be granted: named, looked through, and pinned as it was sent."""

import json
import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from capabilities.arguments import schema_fault
from capabilities.mcp_launch import launch_digest
from capabilities.offer import Missing, Offer
from protocol.capability import Capability, GrantKind, McpCapability
from protocol.digest import digest, digest_bytes
from protocol.errors import InvalidRequest
from protocol.mcp import Listed, McpServerEntry
from protocol.noun import JSON, JSONObject
from protocol.tool import ToolDefinition

LARGEST = 64 * 1024
SHOWN = 8 * 1024

_KINDS: dict[Listed, GrantKind] = {
    "tools": "mcp_tool",
    "resources": "mcp_resource",
    "prompts": "mcp_prompt",
}
_VERBS: dict[Listed, str] = {"tools": "", "resources": "read_", "prompts": "prompt_"}
_WORDS: dict[Listed, str] = {
    "tools": "Calls the tool",
    "resources": "Reads the resource",
    "prompts": "Gets the prompt",
}
LISTED: dict[GrantKind, Listed] = {kind: listed for listed, kind in _KINDS.items()}
"""Where the definition of a grant is listed."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\u180b\u180c\u180d\u180f\u034f")
_ORDERS = re.compile(
    r"<!--|<\s*/?\s*(important|system|secret|instructions?|hidden)\b|\b(ignore|disregard|forget)\b[^.]{0,30}"
    r"\b(previous|prior|above|earlier|other)\b|\bdo not (tell|mention|inform|reveal|show)\b|"
    r"\bbefore (using|calling|you use|you call) (this|any|other)\b|\bwithout (telling|asking|informing)\b",
    re.IGNORECASE,
)
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b", "_": "", "-": "", ".": ""})


def check_servers(capabilities: Sequence[Capability], servers: Container[str]) -> None:
    """Raises InvalidRequest for a server that is not declared, with the field that names it."""
    for index, capability in enumerate(capabilities):
        if isinstance(capability, McpCapability) and capability.server not in servers:
            message = f"there is no MCP server {capability.server!r}"
            raise InvalidRequest(
                "capability.unknown_mcp_server", message, param=f"capabilities[{index}].server"
            )


def model_name(kind: Listed, server: str, name: str) -> str:
    """What a listed thing is called in a run, within the grammar that every model's vendor takes."""
    plain = f"{server}__{_VERBS[kind]}{_UNFIT.sub('_', name)}"
    if kind == "tools" and len(plain) <= 64:
        return plain
    mark = digest_bytes(name.encode()).removeprefix("sha256:")[:8]
    return f"{plain[:55]}_{mark}"


def offer_of(
    kind: Listed, server: str, entry: McpServerEntry, identity: str, name: str, raw: JSONObject | None
) -> Offer | Missing:
    """What a listed thing can be granted as: the one tool that calls, reads or gets it.

    Text that a reader cannot see is refused. Orders to the model are flagged, and what is flagged counts as
    `unknown`, whatever was declared of it.
    """
    named = model_name(kind, server, name)
    fault = _fault(kind, name, raw)
    if fault is not None or raw is None:
        rule, reason = fault or _not_listed(name)
        return Missing(name=named, rule=rule, reason=reason)
    orders = any(_ORDERS.search(text) for text in _strings(raw))
    effect = entry.effects.get(name, "unknown" if kind == "tools" else "read_only")
    words = str(raw.get("description") or "")[:SHOWN]
    definition = ToolDefinition(
        name=named,
        description=f"{_WORDS[kind]} {name!r} of the MCP server {server!r}, which describes it so: {words}",
        input_schema=_arguments(kind, raw),
        source="mcp",
        effect="unknown" if orders else effect,
    )
    return Offer(
        kind=_KINDS[kind],
        name=named,
        source_identity=identity,
        definition=definition,
        digest=digest(raw),
        attributes={"server": server, "tool": name} | ({"flags": "orders"} if orders else {}),
        timeout_ms=entry.timeout_ms,
    )


def flagged(offer: Offer | Missing, twin: str | None) -> Offer | Missing:
    """The offer, marked with a name of another source that it could be taken for."""
    if twin is None or isinstance(offer, Missing):
        return offer
    flags = ",".join(flag for flag in (offer.attributes.get("flags"), f"like:{twin}") if flag)
    definition = offer.definition.model_copy(update={"effect": "unknown"})
    return offer.model_copy(
        update={"attributes": {**offer.attributes, "flags": flags}, "definition": definition}
    )


def raw_digest(raw: JSONObject) -> str | None:
    """The digest of a definition as it was sent; None where it holds what no digest can be taken of."""
    try:
        return digest(raw)
    except ValueError:
        return None


def _fault(kind: Listed, name: str, raw: JSONObject | None) -> tuple[str, str] | None:
    """The rule against a definition, and the reason."""
    if raw is None:
        return _not_listed(name)
    if kind != "resources" and not _NAME.fullmatch(name):
        return "mcp.name", f"{name!a} is no name that is taken"
    unseen = _unseen(raw)
    if unseen is not None:
        return "mcp.hidden_text", f"the definition of {name!r} holds {unseen}, which is not seen"
    if len(json.dumps(raw)) > LARGEST:
        return "mcp.too_large", f"the definition of {name!r} is over {LARGEST} bytes"
    try:
        fault = schema_fault(_arguments(kind, raw))
    except (RecursionError, TypeError, KeyError):
        fault = "it cannot be read"
    if fault is not None:
        return "mcp.schema", f"the arguments of {name!r}: {fault}"
    return None if raw_digest(raw) else ("mcp.definition", f"the definition of {name!r} has no exact form")


def _not_listed(name: str) -> tuple[str, str]:
    return "mcp.not_listed", f"the server lists no {name!r}, or lists it twice"


def _arguments(kind: Listed, raw: Mapping[str, Any]) -> JSONObject:
    """The schema of the arguments: a tool's own; none for a resource; the named texts of a prompt."""
    if kind == "tools":
        return {**raw["inputSchema"]}
    listed: list[dict[str, Any]] = (raw.get("arguments") or []) if kind == "prompts" else []
    return {
        "type": "object",
        "properties": {
            str(one["name"]): {"type": "string", "description": str(one.get("description") or "")}
            for one in listed
        },
        "required": [str(one["name"]) for one in listed if one.get("required")],
        "additionalProperties": False,
    }


def identity_of(server: str, entry: McpServerEntry, protocol_version: str) -> str:
    """Who a server is: with another address, launch or protocol it is another one, whatever its name."""
    where = f"stdio {launch_digest(server, entry.stdio)}" if entry.stdio else f"streamable-http {entry.url}"
    return f"mcp:{server} {protocol_version} {where}"


def twin_of(name: str, others: Iterable[str]) -> str | None:
    """The first other name that reads like this one."""
    return next((other for other in others if _folded(other) == _folded(name)), None)


def _folded(name: str) -> str:
    return name.lower().translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _unseen(value: JSON) -> str | None:
    """The first character of a definition that no reader of it would see, by its code."""
    for text in _strings(value):
        for letter in text:
            hidden = letter in _BLANK or "\U000e0000" <= letter <= "\U000e01ef"
            if hidden or (unicodedata.category(letter) in _UNDRAWN and letter not in "\n\r\t"):
                return f"U+{ord(letter):04X}"
    return None


_UNDRAWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _strings(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
