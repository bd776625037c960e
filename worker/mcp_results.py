"""A server's result as text: cut to size, what is no text named, control characters written out."""

import json

from protocol.digest import digest_bytes
from protocol.mcp import Said
from protocol.noun import JSON, JSONObject
from worker.act import cut


def shown(said: Said) -> str:
    """The parts of a result that can be read, one after the other."""
    return cut("\n".join(part for part in map(_part, said.content) if part) or _structured(said.structured))


def _part(block: JSONObject) -> str:
    match block.get("type"):
        case "text":
            return _clean(str(block.get("text", "")))
        case "image" | "audio" as kind:
            return _unshown(kind, block.get("mimeType"), block.get("data"))
        case "resource_link":
            return f"[link to {_clean(str(block.get('uri')))}]"
        case "resource":
            return resource_text(block.get("resource"))
        case kind:
            return f"[{_clean(str(kind))}: not shown]"


def resource_text(resource: JSON) -> str:
    """The contents of a resource, which carry its address."""
    if not isinstance(resource, dict):
        return ""
    if "text" in resource:
        return f"[{_clean(str(resource.get('uri')))}]\n{_clean(str(resource['text']))}"
    return _unshown(_clean(str(resource.get("uri"))), resource.get("mimeType"), resource.get("blob"))


def _unshown(what: str, kind: JSON, data: JSON) -> str:
    encoded = data if isinstance(data, str) else ""
    size = f"{len(encoded)} characters of base64"
    return f"[{what}, {_clean(str(kind))}, {size}, {digest_bytes(encoded.encode())}]"


def _structured(value: JSON) -> str:
    return "(nothing)" if value is None else _clean(json.dumps(value, ensure_ascii=False))


def _clean(text: str) -> str:
    """Control characters, which a terminal would obey, are written out."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else f"\\u{{{ord(letter):x}}}" for letter in text
    )
