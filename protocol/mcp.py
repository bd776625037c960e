"""MCP servers as they are declared in `rhone.toml`, and the answers that a call can have."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.mcp_account import AccountEntry
from protocol.noun import JSON, JSONObject, Noun
from protocol.secret import SecretRef
from protocol.target import BoxLimits
from protocol.tool import Effect

ServerName = Annotated[str, Field(max_length=32, pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$")]
"""Never two underscores in a row: those stand between the name of a server and that of its tool."""

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s@#]+$")]
Listed = Literal["tools", "resources", "prompts"]
"""What a server lists, each with its name or address."""

NOT_APPROVED = "mcp.not_approved"
"""The rule against a program that nobody has agreed to start."""

ELICITATION = "mcp.elicitation"
"""The rule of a checkpoint in which a server asks something in the middle of a call."""

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


EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Word = Annotated[str, Field(min_length=1, max_length=64 * 1024, pattern=r"^[^\x00]*$")]


class StdioEntry(Noun):
    """A program that is a server over its standard streams, in a box of its own that has no network.

    Its environment is what its image brings and what stands here, `secrets` by reference. It is started only
    where somebody has approved exactly this.
    """

    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    env: dict[EnvironmentName, str] = {}
    secrets: dict[EnvironmentName, SecretRef] = {}
    image: str = "mcp"
    limits: BoxLimits = BoxLimits(memory_mb=512, disk_mb=64)
    runtime: str = ""

    @model_validator(mode="after")
    def _fits(self) -> "StdioEntry":
        twice = sorted(self.env.keys() & self.secrets.keys())
        if twice:
            raise ValueError(f"`env` and `secrets` both give {twice[0]}")
        return self


class McpServerEntry(Noun):
    """One server, over streamable HTTP at `url` or as a program: docs/mcp.md.

    `effects` says what each tool does to the world; what it does not name is `unknown`, whatever the server
    says of itself. A listing is believed for `recheck_ms`. An inner address is dialled only with
    `private_network`, and only the one of `url` (and of a declared issuer).
    """

    url: HttpUrl | None = None
    stdio: StdioEntry | None = None
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
        if (self.url is None) == (self.stdio is None):
            raise ValueError("`url` or `stdio`, one of them")
        if self.stdio is not None and (self.auth or self.oauth or self.account or self.private_network):
            raise ValueError("`auth`, `oauth`, `account` and `private_network` go with `url`")
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


class Unsent(Noun):
    """The session ended before the call went into it: it may be made in another one."""

    reason: str


class Question(Noun):
    """What a server wants to know in the middle of a call: `fields` is the schema of the flat object that
    answers it, `key` the server's own name for it, where it has one."""

    message: str
    fields: JSONObject
    key: str = ""


class Reply(Noun):
    action: Literal["accept", "decline", "cancel"]
    content: JSONObject | None = None


class Asked(Noun):
    question: Question
    reply: Reply | None = None


class Exchange(Noun):
    """The questions of one call, in order, and what the server was told.

    A server of 2026-07-28 waits for nothing: the call is sent again with the answers of its last round, which
    begins at `round`, and with `state`. An older one waits within the session, which `holder` has open.
    """

    asked: tuple[Asked, ...] = ()
    round: int = 0
    state: str | None = None
    holder: str | None = None

    @property
    def pending(self) -> Question | None:
        """The first question without an answer."""
        return next((one.question for one in self.asked if one.reply is None), None)

    def told(self, reply: Reply) -> "Exchange":
        """With an answer to the pending question."""
        place = next(place for place, one in enumerate(self.asked) if one.reply is None)
        answered = Asked(question=self.asked[place].question, reply=reply)
        return self.model_copy(update={"asked": (*self.asked[:place], answered, *self.asked[place + 1 :])})


class Asks(Noun):
    """The server does not go on before a person has answered."""

    exchange: Exchange


Answer = Said | NotDone | Lost | Unsent | Asks
