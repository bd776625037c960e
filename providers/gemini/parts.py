"""Our parts of a message as the wire's: text, and bytes that go along inline."""

from urllib.parse import urlsplit

from protocol.block import AudioPart, DocumentPart, ImagePart, Part, Source, TextPart, VideoPart

Wire = dict[str, object]

_DEFAULTS = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
_IN_RESULTS = {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
_WATCHED = {"youtube.com", "www.youtube.com", "youtu.be"}


def part_of(part: Part, *, host: str, notices: list[tuple[str, str]]) -> Wire:
    """`host` is the backend's own: what lies there, or where the vendor reads anyway, goes as an address."""
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ImagePart | AudioPart | VideoPart | DocumentPart):
        media_type = part.source.media_type or _DEFAULTS[part.type]
        if part.source.data is not None:
            return {"inlineData": {"mimeType": media_type, "data": part.source.data}}
        if _reachable(part.source, host):
            return {"fileData": {"mimeType": media_type, "fileUri": part.source.url}}
    notices.append(("part_dropped", f"the wire has no place for this {part.type}"))
    return {"text": f"[{part.type}: not shown, this model's interface does not take it]"}


def fits_result(wire: Wire) -> bool:
    """Whether a tool result may carry it."""
    data = wire.get("inlineData")
    return isinstance(data, dict) and data.get("mimeType") in _IN_RESULTS


def _reachable(source: Source, host: str) -> bool:
    if source.type != "url" or source.url is None:
        return False
    address = urlsplit(source.url)
    return address.scheme == "gs" or address.hostname in {host, *_WATCHED}
