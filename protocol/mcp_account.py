"""Accounts at MCP servers: what a principal has agreed to at a server's authorization server."""

from typing import Annotated, Protocol

from pydantic import Field, model_validator

from protocol.ids import PrincipalId
from protocol.noun import Moment, Noun
from protocol.principal import Tenant
from protocol.secret import SecretRef


class AccountEntry(Noun):
    """`account` of a server in `rhone.toml`: each principal calls it with tokens of its own.

    Without an `issuer` the server says where one agrees, without a `client_id` we register there. A
    `client_id` that is an https address is one where the issuer takes such ones; any other is of a declared
    issuer, and so is a secret: a server does not choose whom it is sent to. Beside loopback addresses, only
    `redirect_uris` are sent a code.
    """

    issuer: Annotated[str, Field(pattern=r"^https?://[^\s@#]+$")] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    client_secret: SecretRef | None = None
    scope: str | None = None
    redirect_uris: tuple[Annotated[str, Field(pattern=r"^https://[^\s@#]+$")], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "AccountEntry":
        by_document = self.client_id is None or self.client_id.startswith("https://")
        if self.issuer is None and not (by_document and self.client_secret is None):
            raise ValueError("`client_id` and `client_secret` go with an `issuer`")
        if self.client_secret is not None and by_document:
            raise ValueError("`client_secret` goes with a `client_id` that the issuer gave")
        return self


class Holder(Noun):
    """Whose account."""

    tenant: Tenant
    principal_id: PrincipalId


class Agreement(Noun):
    """Where the tokens of an account come from, whom they are given to, and which server they are for.
    `client_secret` is one that we got by registering; a declared one is looked up when it is used."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str | None = None
    client_id: str
    client_secret: str | None = None
    auth_method: str = "none"
    redirect_uri: str
    resource: str
    scope: str | None = None


class Pending(Noun):
    """An authorization that waits for its code. `names_issuer`: the answer has to say whose it is."""

    agreement: Agreement
    verifier: str
    names_issuer: bool


Token = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=16_384)]
"""What fits into a header as it is."""


class Tokens(Noun):
    access_token: Token
    refresh_token: Token | None = None
    scope: str | None = None
    expires_in: Annotated[int, Field(ge=0, le=10**9)] | None = None


class Account(Noun):
    """What is sealed of an account."""

    agreement: Agreement
    tokens: Tokens


class Connected(Noun):
    """What is shown of an account. `wanted_scope` is what the server asked for beyond what was agreed to."""

    issuer: str
    scope: str | None = None
    wanted_scope: str | None = None
    connected_at: Moment
    expires_at: Moment | None = None


class Kept(Noun):
    """An account as it stands in the records, at one version of it. `spent`: the access token is over."""

    account: Account
    shown: Connected
    version: int
    spent: bool


class AccountStore(Protocol):
    """The keeper of accounts. One of a server that stands at another address is not found, and nothing is
    given out of one that ends."""

    async def load(self, holder: Holder, server: str, url: str) -> Kept | None: ...

    async def begin(self, holder: Holder, server: str, url: str, state: str, pending: Pending) -> Moment:
        """Keep an authorization under its state; tells until when."""
        ...

    async def take(self, holder: Holder, server: str, url: str, state: str) -> Pending | None:
        """The authorization of a state, once, for the one who began it. Whoever else asks spends it."""
        ...

    async def put(self, holder: Holder, server: str, url: str, account: Account) -> Connected:
        """In the place of any other."""
        ...

    async def claim(self, holder: Holder, server: str, version: int) -> bool:
        """Whether this caller alone may renew the tokens now; its claim lapses by itself."""
        ...

    async def release(self, holder: Holder, server: str, version: int) -> None:
        """Let others renew them."""
        ...

    async def renew(self, holder: Holder, server: str, url: str, version: int, account: Account) -> bool:
        """New tokens and the next version, where it is still that version."""
        ...

    async def want(self, holder: Holder, server: str, scope: str) -> None: ...

    async def end(self, holder: Holder, server: str, version: int | None = None) -> Account | None:
        """From now on nothing is given out of it, whatever became of the rest; the account that there was."""
        ...

    async def forget(self, holder: Holder, server: str) -> None:
        """Remove what has ended."""
        ...
