"""What an MCP server lists, as something to be granted: named, looked through, and pinned as it was sent."""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence

from capabilities.arguments import schema_fault
from capabilities.offer import Missing, Offer
from protocol.capability import Capability, McpCapability
from protocol.digest import canonical, digest, digest_bytes
from protocol.errors import InvalidRequest
from protocol.mcp import McpServerEntry
from protocol.noun import JSON, JSONObject
from protocol.tool import ToolDefinition

LARGEST = 64 * 1024
SHOWN = 8 * 1024

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


def model_name(server: str, tool: str) -> str:
    """What a tool of a server is called in a run, within the grammar that every model's vendor takes."""
    plain = f"{server}__{_UNFIT.sub('_', tool)}"
    if len(plain) <= 64:
        return plain
    mark = digest_bytes(tool.encode()).removeprefix("sha256:")[:8]
    return f"{plain[:55]}_{mark}"


def tool_offer(
    server: str, entry: McpServerEntry, identity: str, tool: str, raw: JSONObject | None, twin: str | None
) -> Offer | Missing:
    """What a listed tool can be granted as. `twin` is a tool of another source that it could be taken for.

    Text that a reader cannot see is refused. Orders to the model and a twin are flagged, and what is flagged
    counts as `unknown`, whatever was declared of it.
    """
    name = model_name(server, tool)
    if raw is None:
        return _missing(
            name, "mcp.not_listed", f"the server {server!r} lists no tool {tool!r}, or lists it twice"
        )
    schema, description = raw.get("inputSchema"), raw.get("description") or ""
    if not _NAME.fullmatch(tool):
        return _missing(name, "mcp.name", f"{tool!a} is no name of a tool")
    if not isinstance(schema, dict) or not isinstance(description, str):
        return _missing(name, "mcp.definition", f"the definition of {tool!r} is not one of the protocol")
    if len(canonical(raw)) > LARGEST:
        return _missing(name, "mcp.too_large", f"the definition of {tool!r} is over {LARGEST} bytes")
    unseen = _unseen(raw)
    if unseen is not None:
        return _missing(
            name, "mcp.hidden_text", f"the definition of {tool!r} holds {unseen}, which is not seen"
        )
    fault = schema_fault(schema)
    if fault is not None:
        return _missing(name, "mcp.schema", f"the arguments of {tool!r}: {fault}")
    flags = [f"like:{twin}"] if twin else []
    if any(_ORDERS.search(text) for text in _strings(raw)):
        flags.append("orders")
    attributes = {"server": server, "tool": tool} | ({"flags": ",".join(flags)} if flags else {})
    definition = ToolDefinition(
        name=name,
        description=f"A tool of the MCP server {server!r}, which describes it so: {description[:SHOWN]}",
        input_schema=schema,
        source="mcp",
        effect="unknown" if flags else entry.effects.get(tool, "unknown"),
    )
    return Offer(
        kind="mcp_tool",
        name=name,
        source_identity=identity,
        definition=definition,
        digest=digest(raw),
        attributes=attributes,
        timeout_ms=entry.timeout_ms,
    )


def identity_of(server: str, entry: McpServerEntry, protocol_version: str) -> str:
    """Who a server is: with another address or protocol it is another one, whatever its name."""
    return f"mcp:{server} {protocol_version} streamable-http {entry.url}"


def twin_of(name: str, others: Iterable[str]) -> str | None:
    """The first other name that reads like this one."""
    return next((other for other in others if _folded(other) == _folded(name)), None)


def _folded(name: str) -> str:
    return name.lower().translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _missing(name: str, rule: str, reason: str) -> Missing:
    return Missing(name=name, rule=rule, reason=reason)


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
