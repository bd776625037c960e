"""The sources of an answer, as the wire tells them beside it: the last that it says of each counts."""

from protocol.model import Citation, ModelEvent, ProviderRaw
from protocol.noun import JSON, JSONObject
from providers.characters import whole

_CHUNKS = ("web", "maps", "retrievedContext", "image")


class Sources:
    """Collects over the chunks of one answer."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], JSON] = {}
        self._shown: JSONObject = {}

    def take(self, candidate: JSONObject) -> None:
        grounding = candidate.get("groundingMetadata")
        if isinstance(grounding, dict):
            self._ground(grounding)
        cited = candidate.get("citationMetadata")
        for one in _listed(cited, "citations") + _listed(cited, "citationSources"):
            self._add("citation", one, one)
        for one in _listed(candidate.get("urlContextMetadata"), "urlMetadata"):
            self._add("url_context", {"uri": one.get("retrievedUrl")}, one)

    def told(self, block: int | None) -> list[ModelEvent]:
        """All of them, as sources of the text block; without text there is nothing to cite."""
        out: list[ModelEvent] = []
        if self._shown:
            out.append(ProviderRaw(payload={"groundingMetadata": whole(self._shown)}))
        for (kind, uri, title), raw in self._found.items():
            if block is not None:
                cited = Citation(block=block, kind=kind, uri=uri or None, title=title or None, raw=whole(raw))
                out.append(cited)
        return out

    def _ground(self, grounding: JSONObject) -> None:
        """Each source with the passages that rest on it."""
        supports = _listed(grounding, "groundingSupports")
        for index, chunk in enumerate(_listed(grounding, "groundingChunks")):
            kind = next((name for name in _CHUNKS if isinstance(chunk.get(name), dict)), None)
            source = chunk[kind] if kind else None
            if kind is None or not isinstance(source, dict):
                continue
            resting: list[JSON] = [one for one in supports if _rests(one, index)]
            self._add(kind, source, {**chunk, "groundingSupports": resting})
        rest = {
            key: value
            for key, value in grounding.items()
            if key not in ("groundingChunks", "groundingSupports")
        }
        self._shown |= {key: value for key, value in rest.items() if value not in (None, [], {})}

    def _add(self, kind: str, source: JSONObject, raw: JSON) -> None:
        uri, title = source.get("uri") or source.get("sourceUri"), source.get("title")
        named = (kind, str(whole(uri)) if isinstance(uri, str) else "")
        self._found[*named, str(whole(title)) if isinstance(title, str) else ""] = raw


def _rests(support: JSONObject, index: int) -> bool:
    indices = support.get("groundingChunkIndices")
    return isinstance(indices, list) and index in indices


def _listed(value: JSON, name: str) -> list[JSONObject]:
    found = value.get(name) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
