"""The people around our client in the official conformance suite: an operator who declares the server, and a
person who connects with a browser that agrees to everything.

The operator knows the issuer: it is the one that the server names. The suite's issuers stand on this machine.
"""

import os
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from protocol.ids import PrincipalId, RunId
from protocol.mcp import ClientCredentials, McpServerEntry
from protocol.mcp_account import AccountEntry, Holder
from protocol.secret import SecretRef
from providers.mcp.accounts import Accounts
from records.mcp_accounts import McpAccounts
from records.principals import DEFAULT

SECRET = SecretRef(kind="env", name="SECRET")
REDIRECT = "http://127.0.0.1:4711/callback"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""The suite's own name for a client that is known by a document."""

PERSON = Holder(tenant=DEFAULT, principal_id=PrincipalId("prin_person"))


def declared(url: str, told: dict[str, Any]) -> McpServerEntry:
    """As the operator of a scenario writes it down: credentials where the scenario is about them, else an
    account for each person."""
    fields: dict[str, Any] = {}
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    if scenario.startswith("auth/client-credentials"):
        proof = {"client_key": SECRET} if "private_key_pem" in told else {"client_secret": SECRET}
        issuer = _issuer(url)
        fields["oauth"] = ClientCredentials.model_validate(
            {"issuer": issuer, "client_id": told["client_id"], **proof}
        )
    elif scenario.startswith("auth/"):
        secret = SECRET if "client_secret" in told else None
        fields["account"] = AccountEntry(
            issuer=_issuer(url), client_id=told.get("client_id", DOCUMENT), client_secret=secret
        )
    return McpServerEntry(url=url, private_network=True, timeout_ms=20_000, **fields)


class Person:
    """The one who connects, and the account that the run's calls are made with."""

    def __init__(self, url: str, told: dict[str, Any], store: McpAccounts) -> None:
        self._url = url
        self._told = told
        self._store = store

    @property
    def accounts(self) -> Accounts:
        """Of the server as the operator declares it now."""
        return Accounts({"suite": declared(self._url, self._told)}, self._store, self.secret, lambda _: None)

    def secret(self, _: SecretRef) -> str:
        return str(self._told.get("private_key_pem") or self._told["client_secret"])

    async def connect(self) -> None:
        accounts = self.accounts
        begun = await accounts.authorize(PERSON, "suite", REDIRECT)
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(begun.url)
        query = urlsplit(answer.headers["location"]).query
        brought = {key: values[0] for key, values in parse_qs(query).items()}
        await accounts.finish(PERSON, "suite", brought["state"], brought["code"], brought.get("iss"))

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        return await self.accounts.token(PERSON, server, stale)

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        return await self.accounts.want(PERSON, server, scope)


def _issuer(url: str) -> str:
    """The issuer that a server names; its own origin where it names none."""
    address = httpx2.URL(url)
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    challenge = httpx2.post(url, json=ping, trust_env=False).headers.get("www-authenticate", "")
    named = re.search(r'resource_metadata="?([^", ]+)', challenge)
    places = [named[1]] if named else []
    for path in (
        f"/.well-known/oauth-protected-resource{address.path}",
        "/.well-known/oauth-protected-resource",
    ):
        places.append(str(address.copy_with(path=path)))
    for place in places:
        answer = httpx2.get(place, trust_env=False)
        if answer.status_code == 200:
            return str(answer.json()["authorization_servers"][0])
    return str(address.copy_with(path="")).rstrip("/")
