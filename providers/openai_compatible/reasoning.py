"""The reasoning of an answer as its maker wants it back: kept whole, whether or not it is shown."""

from protocol.block import Opaque, Provenance
from protocol.noun import JSON, JSONObject
from providers.characters import whole

_GROWING = ("text", "summary", "data")


class Reasoning:
    """Collects the reasoning fields of one block; `seal` hands them over and begins anew."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self._texts: dict[str, list[str]] = {}
        self._details: list[JSON] = []

    def text_of(self, delta: JSONObject) -> str:
        """The new reasoning text of a delta; backends that send it under two names send it once."""
        for name in ("reasoning_content", "reasoning"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._texts.setdefault(name, []).append(text)
                return text
        return ""

    def add_details(self, delta: JSONObject) -> bool:
        """OpenRouter's form: typed pieces, some of them encrypted."""
        details = delta.get("reasoning_details")
        if not isinstance(details, list) or not details:
            return False
        for detail in details:
            last = self._details[-1] if self._details else None
            if isinstance(detail, dict) and isinstance(last, dict) and _same(last, detail):
                self._details[-1] = _merged(last, detail)
            else:
                self._details.append(detail)
        return True

    def seal(self) -> tuple[Opaque, ...]:
        fields: dict[str, JSON] = {name: "".join(texts) for name, texts in self._texts.items()}
        if self._details:
            fields = {"reasoning_details": self._details}
        self._texts, self._details = {}, []
        return tuple(
            Opaque(provenance=self._provenance, payload={"field": name, "value": whole(value)})
            for name, value in fields.items()
        )


def _same(one: JSONObject, other: JSONObject) -> bool:
    return "index" in other and all(one.get(key) == other.get(key) for key in ("type", "index"))


def _merged(one: JSONObject, other: JSONObject) -> JSONObject:
    out = dict(one)
    for key, value in other.items():
        before = out.get(key)
        if key in _GROWING and isinstance(before, str) and isinstance(value, str):
            out[key] = before + value
        elif value is not None:
            out[key] = value
    return out
