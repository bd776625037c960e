"""The accounts with which servers are called: agreed to by a person, renewed when they are over, given up."""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2

from protocol.errors import Forbidden, InvalidRequest, Refused, Unavailable
from protocol.mcp import McpServerEntry
from protocol.mcp_account import Account, AccountEntry, AccountStore, Agreement, Connected, Holder, Kept
from protocol.noun import Moment
from protocol.secret import SecretRef
from providers.mcp.guarded import CONNECT_SECONDS, Guarded

NOT_CONNECTED = "mcp.not_connected"
ANSWER_SECONDS = 15.0
RENEWAL_SECONDS = 30.0
LOOK_AGAIN = 0.1

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Asking(NamedTuple):
    """Where a person agrees, and until when."""

    url: str
    expires_at: Moment


class Accounts:
    """`secret` looks a declared client secret up, `mask` has tokens masked in what this process writes."""

    def __init__(
        self,
        entries: Mapping[str, McpServerEntry],
        store: AccountStore,
        secret: Callable[[SecretRef], str],
        mask: Callable[[str], None],
    ) -> None:
        self._entries = entries
        self._store = store
        self._secret = secret
        self._mask = mask
        if any(entry.account for entry in entries.values()):
            importlib.import_module("providers.mcp.authorization")

    async def authorize(self, holder: Holder, server: str, redirect_uri: str) -> Asking:
        """Begin: the address that the person is to open. Raises Refused and Unavailable."""
        from providers.mcp import authorization

        url, entry = self._declared(server)
        _check_redirect(redirect_uri, entry)
        kept = await self._load(holder, server)
        wanted = authorization.Wanted(redirect_uri)
        if kept is not None:
            wanted = authorization.Wanted(redirect_uri, kept.shown.scope, kept.shown.wanted_scope)
        async with self._client(server) as http:
            begun = await authorization.begin(http, url, entry, self._secret_of(entry), wanted)
        until = await self._store.begin(holder, server, url, begun.state, begun.pending)
        return Asking(begun.url, until)

    async def finish(
        self, holder: Holder, server: str, state: str, code: str, issuer: str | None
    ) -> Connected:
        """The account that a code brings. A state is good once, and for the one who began it."""
        from providers.mcp import authorization

        url, entry = self._declared(server)
        pending = await self._store.take(holder, server, url, state)
        if pending is None:
            message = "state: nothing that you began waits under it; begin again"
            raise Forbidden("mcp.unknown_state", message, param="state")
        async with self._client(server) as http:
            secret = self._proof(entry, pending.agreement)
            tokens = await authorization.finish(http, pending, secret, code, issuer)
        return await self._store.put(holder, server, url, Account(agreement=pending.agreement, tokens=tokens))

    async def refused(self, holder: Holder, server: str, state: str) -> None:
        """The person, or the issuer, said no: the state is spent."""
        await self._store.take(holder, server, self._declared(server)[0], state)

    async def connected(self, holder: Holder, server: str) -> Connected | None:
        kept = await self._load(holder, server)
        return kept and kept.shown

    async def disconnect(self, holder: Holder, server: str) -> bool | None:
        """Nothing is called with it from now on. Tells whether the issuer took its tokens back; None where
        there was no account."""
        from providers.mcp import authorization

        _, entry = self._declared(server)
        account = await self._store.end(holder, server)
        if account is None:
            await self._store.forget(holder, server)
            return None
        async with self._client(server) as http:
            try:
                secret = self._proof(entry, account.agreement)
                revoked = await authorization.revoke(http, account.agreement, secret, account.tokens)
            except Refused:  # the secret that would prove who asks is not there
                revoked = False
        await self._store.forget(holder, server)
        return revoked

    async def token(self, holder: Holder, server: str, stale: str | None = None) -> str:
        """What a server is called with now; not `stale`, which it turned down. Raises Refused where there is
        no account, Unavailable where its tokens are over and nobody renews them."""
        until = asyncio.get_running_loop().time() + RENEWAL_SECONDS
        while True:
            kept = await self._load(holder, server)
            if kept is None:
                raise not_connected(server, "is not connected for the principal of this run")
            token = kept.account.tokens.access_token
            self._mask(token)
            if not kept.spent and token != stale:
                return token
            if kept.account.tokens.refresh_token is None:
                raise not_connected(server, "was connected for a time that is over")
            if await self._store.claim(holder, server, kept.version):
                return await self._renewed(holder, server, kept)
            if asyncio.get_running_loop().time() > until:
                raise Unavailable(NOT_CONNECTED, f"nobody renews the account at {server!r}")
            await asyncio.sleep(LOOK_AGAIN)

    async def want(self, holder: Holder, server: str, scope: str) -> str:
        """The server asked for more than was agreed to; what is told of that."""
        await self._store.want(holder, server, scope)
        more = f"the scope {scope!r}" if scope else "more"
        return f"it asks for {more}, which nobody has agreed to: `rhone mcp connect {server}` asks for it"

    async def _renewed(self, holder: Holder, server: str, kept: Kept) -> str:
        """By whoever has the claim. What the issuer takes back ends the account; what it gives after the
        account has ended is given back."""
        from providers.mcp import authorization

        url, entry = self._declared(server)
        agreement = kept.account.agreement
        secret = self._proof(entry, agreement)
        async with self._client(server) as http:
            try:
                tokens = await authorization.renew(http, agreement, secret, kept.account.tokens)
            except Unavailable:
                await self._store.release(holder, server, kept.version)
                raise
            except Refused as fault:
                await self._store.end(holder, server, kept.version)
                await self._store.forget(holder, server)
                raise not_connected(server, f"is not connected any more: {fault.message}") from fault
            self._mask(tokens.access_token)
            account = Account(agreement=agreement, tokens=tokens)
            if await self._store.renew(holder, server, url, kept.version, account):
                return tokens.access_token
            await authorization.revoke(http, agreement, secret, tokens)
        raise not_connected(server, "was disconnected just now")

    def _declared(self, server: str) -> tuple[str, AccountEntry]:
        entry = self._entries.get(server)
        if entry is None or entry.account is None or entry.url is None:
            raise InvalidRequest("mcp.no_account", f"nobody has an account at the MCP server {server!r}")
        return entry.url, entry.account

    async def _load(self, holder: Holder, server: str) -> Kept | None:
        """The account, if it is of the issuer that is declared now."""
        url, entry = self._declared(server)
        kept = await self._store.load(holder, server, url)
        return kept if kept is not None and _is_of(entry, kept.account.agreement) else None

    def _secret_of(self, entry: AccountEntry) -> str | None:
        return None if entry.client_secret is None else self._secret(entry.client_secret)

    def _proof(self, entry: AccountEntry, agreement: Agreement) -> str | None:
        """The declared secret goes to its own issuer, for its own client."""
        ours = agreement.client_id == entry.client_id and _is_of(entry, agreement)
        return self._secret_of(entry) if ours else None

    def _client(self, server: str) -> httpx2.AsyncClient:
        """It reaches the server, its declared issuer, and what these name at public addresses."""
        entry = self._entries[server]
        url, account = self._declared(server)
        declared = [url, *([account.issuer] if account.issuer else [])]
        return httpx2.AsyncClient(
            transport=Guarded(declared, private=entry.private_network, others=True),
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=ANSWER_SECONDS),
            trust_env=False,
        )


def _is_of(entry: AccountEntry, agreement: Agreement) -> bool:
    return entry.issuer is None or entry.issuer.rstrip("/") == agreement.issuer.rstrip("/")


def _check_redirect(address: str, entry: AccountEntry) -> None:
    """A code goes to a program on the person's own machine, or to an address that is declared, letter for
    letter."""
    try:
        parts = urlsplit(address)
        local = parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port is not None
    except ValueError:
        local = False
    plain = address.isascii() and address.isprintable() and not set(address) & set(" #@\\")
    if not (local and plain) and address not in entry.redirect_uris:
        message = "redirect_uri: neither a loopback address with a port nor a declared one"
        raise InvalidRequest("mcp.redirect_uri", message, param="redirect_uri")


def not_connected(server: str, why: str) -> Refused:
    message = f"the MCP server {server!r} {why}: `rhone mcp connect {server}` mends it"
    return Refused(NOT_CONNECTED, message)
