"""What a vendor signed, kept for its replay on the very part that it came with."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from protocol.block import Opaque, Provenance
from protocol.noun import JSON, JSONObject
from providers.history import same_maker

SIGNATURE, TOKEN = "thoughtSignature", "continuationToken"
SKIPPED = "skip_thought_signature_validator"
"""What the vendor documents for calls in a history that none of its models made."""


@dataclass
class Signatures:
    """Collects while a block is open; each seal hands over and begins anew. `token` goes with the last."""

    provenance: Provenance
    token: str | None = None
    _length: int = 0
    _spans: list[JSON] = field(default_factory=list[JSON])
    _thoughts: list[JSONObject] = field(default_factory=list[JSONObject])

    def text(self, length: int, signature: str | None) -> None:
        """So many characters more of the text block; a signature is of these alone."""
        if signature is not None:
            self._spans.append([self._length, self._length + length, signature])
        self._length += length

    def thought(self, part: JSONObject) -> None:
        last = self._thoughts[-1] if self._thoughts else None
        if last is not None and SIGNATURE not in last and SIGNATURE not in part:
            last["text"] = f"{last['text']}{part['text']}"
        else:
            self._thoughts.append(dict(part))

    def seal_text(self) -> tuple[Opaque, ...]:
        spans, self._spans, self._length = self._spans, [], 0
        return (*self._kept({"spans": spans} if spans else None), *self._token())

    def seal_reasoning(self) -> tuple[Opaque, ...]:
        parts, self._thoughts = self._thoughts, []
        signed = any(SIGNATURE in part for part in parts)
        return (*self._kept({"parts": list[JSON](parts)} if signed else None), *self._token())

    def call(self, wire_id: str | None, signature: str | None) -> tuple[Opaque, ...]:
        payload: JSONObject = {} if wire_id is None else {"id": wire_id}
        if signature is not None:
            payload[SIGNATURE] = signature
        return self._kept(payload or None)

    def items(self, parts: list[JSON]) -> tuple[Opaque, ...]:
        return self._kept({"parts": parts})

    def _token(self) -> tuple[Opaque, ...]:
        token, self.token = self.token, None
        return self._kept(None if token is None else {TOKEN: token})

    def _kept(self, payload: JSONObject | None) -> tuple[Opaque, ...]:
        return () if payload is None else (Opaque(provenance=self.provenance, payload=payload),)


def own_of(
    opaque: Iterable[Opaque], provenance: Provenance, notices: list[tuple[str, str]]
) -> list[JSONObject]:
    """The payloads that this model made itself; what others made is left out with a notice."""
    out: list[JSONObject] = []
    for one in opaque:
        if not same_maker(one.provenance, provenance):
            notices.append(("opaque_dropped", "reasoning of another model was left out"))
        elif isinstance(one.payload, dict):
            out.append(one.payload)
    return out


def parts_in(payload: JSONObject) -> list[dict[str, object]]:
    parts = payload.get("parts")
    return [{**part} for part in (parts if isinstance(parts, list) else []) if isinstance(part, dict)]


def spans_in(payload: JSONObject) -> Iterator[tuple[int, int, str]]:
    """From where to where a text was signed, in order."""
    spans = payload.get("spans")
    for span in spans if isinstance(spans, list) else []:
        match span:
            case [int(start), int(end), str(signature)]:
                yield start, end, signature
            case _:
                pass
