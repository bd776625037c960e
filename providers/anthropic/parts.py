"""Parts of a message as content blocks; what has no place there is told in words."""

import base64
import binascii

from protocol.block import DocumentPart, ImagePart, Part, Source, TextPart
from protocol.noun import JSON, JSONObject

_IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}


def content_of(parts: tuple[Part, ...], notices: list[tuple[str, str]]) -> list[JSON]:
    """The blocks of the parts; text of nothing but blanks is left out, the API refuses it."""
    out: list[JSON] = []
    for part in parts:
        if isinstance(part, TextPart):
            if part.text.strip():
                out.append(text_block(part.text))
            continue
        block = _block(part)
        if block is None:
            notices.append(("part_dropped", f"the wire has no place for this {part.type}"))
            block = text_block(f"[{part.type}: not shown, this model's interface does not take it]")
        out.append(block)
    return out


def text_block(text: str) -> JSONObject:
    return {"type": "text", "text": text}


def _block(part: Part) -> JSONObject | None:
    if isinstance(part, ImagePart):
        source = _by_url(part.source) or _base64(part.source, part.source.media_type or "image/png", _IMAGES)
        return source and {"type": "image", "source": source}
    if isinstance(part, DocumentPart):
        kind = part.source.media_type or "application/pdf"
        source = _by_url(part.source) or _base64(part.source, kind, {"application/pdf"})
        source = source or (_plain(part.source) if kind.startswith("text/") else None)
        title: JSONObject = {"title": part.filename} if part.filename else {}
        return source and {"type": "document", "source": source, **title}
    return None


def _by_url(source: Source) -> JSONObject | None:
    return {"type": "url", "url": source.url} if source.type == "url" and source.url else None


def _base64(source: Source, kind: str, taken: set[str]) -> JSONObject | None:
    if source.data is None or kind not in taken:
        return None
    return {"type": "base64", "media_type": kind, "data": source.data}


def _plain(source: Source) -> JSONObject | None:
    try:
        text = base64.b64decode(source.data or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text} if text.strip() else None
