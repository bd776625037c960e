"""Blocks: the unified messages of a session, in the order in which the model sees them."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.ids import BlockId, CallId, RunId, SessionId
from protocol.noun import JSON, JSONObject, Moment, Noun


class Source(Noun):
    """Where the bytes of a media part lie."""

    type: Literal["base64", "url", "asset"]
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    asset_id: str | None = None


class TextPart(Noun):
    type: Literal["text"] = "text"
    text: str


class ImagePart(Noun):
    type: Literal["image"] = "image"
    source: Source


class AudioPart(Noun):
    type: Literal["audio"] = "audio"
    source: Source


class VideoPart(Noun):
    type: Literal["video"] = "video"
    source: Source


class DocumentPart(Noun):
    type: Literal["document"] = "document"
    source: Source
    filename: str | None = None


class AssetPart(Noun):
    type: Literal["asset"] = "asset"
    asset_id: str


Part = Annotated[
    TextPart | ImagePart | AudioPart | VideoPart | DocumentPart | AssetPart, Field(discriminator="type")
]


class Provenance(Noun):
    """Who produced opaque state; it is replayed byte for byte to the same provenance only."""

    dialect: str
    vendor: str
    account_scope: str
    model_family: str
    response_id: str | None = None
    item_id: str | None = None


class Opaque(Noun):
    """Provider state that nobody but its producer reads: signatures, encrypted reasoning."""

    provenance: Provenance
    payload: JSON


class _Block(Noun):
    id: BlockId
    session_id: SessionId
    run_id: RunId | None = None
    call_id: CallId | None = None
    created_at: Moment
    opaque: tuple[Opaque, ...] = ()
    labels: tuple[str, ...] = ()


class InputBlock(_Block):
    type: Literal["input"] = "input"
    content: tuple[Part, ...]


class SystemBlock(_Block):
    type: Literal["system"] = "system"
    content: tuple[Part, ...]


class ResponseBlock(_Block):
    """What the model said; `truncated` where it was cut by a limit or an interrupt."""

    type: Literal["response"] = "response"
    content: tuple[Part, ...]
    truncated: bool = False


class ThinkingBlock(_Block):
    type: Literal["thinking"] = "thinking"
    content: tuple[Part, ...]


ArgumentsState = Literal["ok", "empty", "invalid", "truncated"]


class ToolCallBlock(_Block):
    """A call that the model asked for; `arguments_raw` keeps the wire's own string when it did not parse."""

    type: Literal["tool_call"] = "tool_call"
    tool_call_id: str
    name: str
    arguments: JSONObject
    arguments_state: ArgumentsState = "ok"
    arguments_raw: str | None = None


class ToolResultBlock(_Block):
    type: Literal["tool_result"] = "tool_result"
    tool_call_id: str
    is_error: bool = False
    content: tuple[Part, ...]


Block = Annotated[
    InputBlock | SystemBlock | ResponseBlock | ThinkingBlock | ToolCallBlock | ToolResultBlock,
    Field(discriminator="type"),
]


class InputDraft(Noun):
    """An input block as a client sends it, before it has an id."""

    type: Literal["input"] = "input"
    content: tuple[Part, ...] = Field(min_length=1)


def text_of(content: tuple[Part, ...]) -> str:
    return "".join(part.text for part in content if isinstance(part, TextPart))
