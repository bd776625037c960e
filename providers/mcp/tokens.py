"""Tokens for a server by client credentials: kept in memory, asked for at the one declared issuer."""

from collections.abc import Callable

from mcp.client.auth import TokenStorage
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from protocol.mcp import ClientCredentials
from protocol.secret import SecretRef


class Tokens(TokenStorage):
    """What the issuer gave, as long as the connection lives."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


def credentials(
    url: str, declared: ClientCredentials, secret: Callable[[SecretRef], str]
) -> ClientCredentialsOAuthProvider | PrivateKeyJWTOAuthProvider:
    if declared.client_secret is not None:
        return ClientCredentialsOAuthProvider(
            server_url=url,
            storage=Tokens(),
            client_id=declared.client_id,
            client_secret=secret(declared.client_secret),
            scope=declared.scope,
            issuer=declared.issuer,
        )
    assert declared.client_key is not None
    signed = SignedJWTParameters(
        issuer=declared.client_id,
        subject=declared.client_id,
        signing_algorithm=declared.signing_algorithm,
        signing_key=secret(declared.client_key),
    )
    return PrivateKeyJWTOAuthProvider(
        server_url=url,
        storage=Tokens(),
        client_id=declared.client_id,
        assertion_provider=signed.create_assertion_provider(),
        scope=declared.scope,
        issuer=declared.issuer,
    )
