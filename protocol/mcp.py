"""MCP servers as they are declared in `rhone.toml`, and the answers that a call can have."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.mcp_account import AccountEntry
from protocol.noun import JSON, JSONObject, Noun
from protocol.secret import SecretRef
from protocol.tool import Effect

ServerName = Annotated[str, Field(max_length=32, pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$")]
"""Never two underscores in a row: those stand between the name of a server and that of its tool."""

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s@#]+$")]
Listed = Literal["tools", "resources", "prompts"]
"""What a server lists, each with its name or address."""

ProtocolVersion = Literal["2025-11-25", "2026-07-28"]


class ClientCredentials(Noun):
    """How we get tokens for a server: only ever from this one authorization server. We prove who we are with
    a secret, or by what `client_key` (PEM) signs."""

    issuer: HttpUrl
    client_id: str
    client_secret: SecretRef | None = None
    client_key: SecretRef | None = None
    signing_algorithm: Literal["ES256", "RS256", "EdDSA"] = "ES256"
    scope: str | None = None

    @model_validator(mode="after")
    def _proves_one_way(self) -> "ClientCredentials":
        if (self.client_secret is None) == (self.client_key is None):
            raise ValueError("`client_secret` or `client_key`, one of them")
        return self


class McpServerEntry(Noun):
    """One server over streamable HTTP: docs/mcp.md.

    `effects` says what each tool does to the world; what it does not name is `unknown`, whatever the server
    says of itself. A listing is believed for `recheck_ms`. An inner address is dialled only with
    `private_network`, and only the one of `url` (and of a declared issuer).
    """

    url: HttpUrl
    auth: SecretRef | None = None
    oauth: ClientCredentials | None = None
    account: AccountEntry | None = None
    effects: dict[str, Effect] = {}
    timeout_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 60_000
    recheck_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 5_000
    protocol_version: ProtocolVersion | None = None
    private_network: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "McpServerEntry":
        issuers = [way.issuer for way in (self.oauth, self.account) if way is not None]
        in_the_clear = any(one is not None and one.startswith("http:") for one in (self.url, *issuers))
        if in_the_clear and not self.private_network:
            raise ValueError(
                "`url` and `issuer` are https addresses, unless `private_network` says that they are inner"
            )
        if sum(way is not None for way in (self.auth, self.oauth, self.account)) > 1:
            raise ValueError("`auth`, `oauth` or `account`, one of them")
        if "workspace" in self.effects.values():
            raise ValueError("`effects`: a tool of a server never acts in the workspace")
        return self


class ServerFacts(Noun):
    """Who answered at a server's address, and the protocol that both agreed on."""

    protocol_version: str
    info: JSONObject | None


class Said(Noun):
    """A server's result: its content blocks as they came, and the structured form where there is one. The
    contents of a resource and the messages of a prompt are told as such blocks."""

    content: tuple[JSONObject, ...]
    structured: JSON = None
    is_error: bool = False


class NotDone(Noun):
    """The server, or the way to it, said no before anything happened."""

    reason: str


class Lost(Noun):
    """The call was sent, and no answer can be had: what it did is not known."""

    reason: str


Answer = Said | NotDone | Lost
