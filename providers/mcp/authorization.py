"""Authorization code with PKCE at the authorization server of an MCP server, cut where a person acts.

`begin` finds out where to agree and makes the address for the person's browser; `finish` turns the code that
comes back into tokens. Between them lies a `Pending`, so that another process may finish. The server's
metadata (RFC 9728) and the issuer's (RFC 8414) are read each time; an issuer is believed only under its own
name, and only where it says that it takes S256.
"""

import base64
import secrets
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import httpx2
from mcp.client.auth import PKCEParameters
from mcp.client.auth.exceptions import OAuthRegistrationError
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    create_client_registration_request,
    create_oauth_metadata_request,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    get_client_metadata_scopes,
    handle_protected_resource_response,
    handle_registration_response,
    issuers_match,
    union_scopes,
)
from mcp.shared.auth import (
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
    TokenEndpointAuthMethod,
)
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyUrl, ValidationError

from protocol.errors import Refused, Unavailable
from protocol.mcp_account import AccountEntry, Agreement, Pending, Tokens
from providers.mcp.guarded import NOT_SENT, origin_of

REFUSED = "mcp.authorization_refused"
AWAY = "mcp.issuer_unreachable"
GRANTS = ["authorization_code", "refresh_token"]
METHODS: tuple[TokenEndpointAuthMethod, ...] = ("client_secret_basic", "client_secret_post", "none")
"""How we prove who we are, what is better first."""


class Begun(NamedTuple):
    """What a person is to open, and what has to be known when the code comes."""

    url: str
    state: str
    pending: Pending


class Wanted(NamedTuple):
    """What an authorization is to bring: `scope` beyond what was granted, where the server asked for more."""

    redirect_uri: str
    granted: str | None = None
    scope: str | None = None


class _Server(NamedTuple):
    """What an MCP server says of its own protection."""

    metadata: ProtectedResourceMetadata | None
    scope: str | None


async def begin(
    http: httpx2.AsyncClient, url: str, entry: AccountEntry, secret: str | None, wanted: Wanted
) -> Begun:
    """Raises Refused for what cannot be believed, Unavailable where nobody answers."""
    server = await _protection(http, url)
    issuer = await _issuer(http, url, entry, server.metadata)
    scope = _scope(entry, server, issuer, wanted)
    agreement = await _client(http, entry, secret, issuer, wanted.redirect_uri, scope)
    resource = resource_url_from_server_url(url)
    if server.metadata is not None:
        resource = str(server.metadata.resource)
    agreement = agreement.model_copy(update={"resource": resource})
    proof, state = PKCEParameters.generate(), secrets.token_urlsafe(32)
    asked = {
        "response_type": "code",
        "client_id": agreement.client_id,
        "redirect_uri": agreement.redirect_uri,
        "state": state,
        "code_challenge": proof.code_challenge,
        "code_challenge_method": "S256",
        "resource": resource,
    }
    if scope is not None:
        asked["scope"] = scope
        if "offline_access" in scope.split():
            asked["prompt"] = "consent"
    pending = Pending(
        agreement=agreement,
        verifier=proof.code_verifier,
        names_issuer=issuer.authorization_response_iss_parameter_supported is True,
    )
    address = httpx2.URL(_for_a_browser(url, entry, issuer)).copy_merge_params(asked)
    return Begun(str(address), state, pending)


async def finish(
    http: httpx2.AsyncClient, pending: Pending, secret: str | None, code: str, issuer: str | None
) -> Tokens:
    """The tokens for a code. Raises Refused where the answer came from another issuer, or is turned down."""
    agreement = pending.agreement
    if issuer is None and pending.names_issuer:
        raise _refusal(f"the answer does not say that it is {agreement.issuer}'s")
    if issuer is not None and issuer != agreement.issuer:
        raise _refusal(f"the answer is of another issuer than {agreement.issuer}")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": agreement.redirect_uri,
        "code_verifier": pending.verifier,
        "resource": agreement.resource,
    }
    answer = await _post(http, agreement.token_endpoint, agreement, secret, form)
    tokens = _tokens(agreement, answer)
    return tokens if tokens.scope else tokens.model_copy(update={"scope": agreement.scope})


async def renew(http: httpx2.AsyncClient, agreement: Agreement, secret: str | None, old: Tokens) -> Tokens:
    """New tokens; what the issuer does not name stays as it was. Raises Refused where it says no."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": old.refresh_token or "",
        "resource": agreement.resource,
    }
    answer = await _post(http, agreement.token_endpoint, agreement, secret, form)
    new = _tokens(agreement, answer)
    kept = {"scope": new.scope or old.scope, "refresh_token": new.refresh_token or old.refresh_token}
    return new.model_copy(update=kept)


async def revoke(http: httpx2.AsyncClient, agreement: Agreement, secret: str | None, tokens: Tokens) -> bool:
    """Whether the issuer has taken all of the tokens back."""
    if agreement.revocation_endpoint is None:
        return False
    done = True
    named = {"refresh_token": tokens.refresh_token, "access_token": tokens.access_token}
    for hint, token in named.items():
        if token is not None:
            form = {"token": token, "token_type_hint": hint}
            try:
                answer = await _post(http, agreement.revocation_endpoint, agreement, secret, form)
            except Unavailable:
                return False
            done = done and answer.status_code == 200
    return done


async def _protection(http: httpx2.AsyncClient, url: str) -> _Server:
    challenge = await _challenge(http, url)
    told = extract_resource_metadata_from_www_auth(challenge) if challenge else None
    scope = extract_scope_from_www_auth(challenge) if challenge else None
    for address in build_protected_resource_metadata_discovery_urls(told, url):
        answer = await _sent(http, create_oauth_metadata_request(address))
        metadata = await handle_protected_resource_response(answer)
        if metadata is not None:
            asked = resource_url_from_server_url(url)
            if not check_resource_allowed(asked, str(metadata.resource)):
                raise _refusal(f"the server calls itself {str(metadata.resource)[:200]}, which is not {url}")
            return _Server(metadata, scope)
    return _Server(None, scope)


async def _challenge(http: httpx2.AsyncClient, url: str) -> httpx2.Response | None:
    """What the server says to somebody without a token; of its answer only the head is read."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    accepted = {"accept": "application/json, text/event-stream"}
    try:
        async with http.stream("POST", url, json=ping, headers=accepted) as answer:
            return answer if answer.status_code == 401 else None
    except httpx2.HTTPError as fault:
        raise Unavailable(AWAY, f"{url}: {type(fault).__name__}") from fault


async def _issuer(
    http: httpx2.AsyncClient, url: str, entry: AccountEntry, server: ProtectedResourceMetadata | None
) -> OAuthMetadata:
    """The metadata of the declared issuer, else of the first that the server names; of the server's own
    origin where it names none, as servers of 2025-03-26 do."""
    named = [str(one) for one in server.authorization_servers] if server else []
    chosen = entry.issuer or next(iter(named), None)
    if entry.issuer is not None and named:
        chosen = next((one for one in named if issuers_match(one, entry.issuer)), None)
        if chosen is None:
            raise _refusal(f"the server names other issuers than {entry.issuer}")
    for address in build_oauth_authorization_server_metadata_discovery_urls(chosen, url):
        answer = await _sent(http, create_oauth_metadata_request(address))
        if answer.status_code != 200:
            continue
        try:
            metadata = OAuthMetadata.model_validate_json(answer.content)
        except ValidationError:
            raise _refusal(f"what is at {address} is no metadata of an issuer") from None
        told, expected = str(metadata.issuer), chosen or str(httpx2.URL(url).copy_with(raw_path=b"/"))
        if told != expected and (named or not issuers_match(told, expected)):
            raise _refusal(f"the metadata at {address} is that of another issuer")
        if "S256" not in (metadata.code_challenge_methods_supported or ()):
            raise _refusal(f"the issuer {metadata.issuer} does not say that it takes S256")
        return metadata
    raise _refusal("there is no metadata of an issuer")


def _scope(entry: AccountEntry, server: _Server, issuer: OAuthMetadata, wanted: Wanted) -> str | None:
    scope = entry.scope or get_client_metadata_scopes(server.scope, server.metadata, issuer, GRANTS)
    return union_scopes(union_scopes(wanted.granted, scope), wanted.scope) if wanted.scope else scope


async def _client(
    http: httpx2.AsyncClient,
    entry: AccountEntry,
    secret: str | None,
    issuer: OAuthMetadata,
    redirect_uri: str,
    scope: str | None,
) -> Agreement:
    """Who we are at the issuer: as declared, by our own document there, or registered for this account."""
    told = issuer.token_endpoint_auth_methods_supported or ["client_secret_basic"]
    fitting: list[TokenEndpointAuthMethod] = [one for one in METHODS if told.count(one)]
    method = fitting[0] if fitting else "none"
    known = Agreement(
        issuer=str(issuer.issuer),
        token_endpoint=str(issuer.token_endpoint),
        revocation_endpoint=str(issuer.revocation_endpoint) if issuer.revocation_endpoint else None,
        client_id=entry.client_id or "",
        auth_method=method if secret else "none",
        redirect_uri=redirect_uri,
        resource="",
        scope=scope,
    )
    by_document = (entry.client_id or "").startswith("https://")
    if entry.client_id and (not by_document or issuer.client_id_metadata_document_supported):
        return known
    if issuer.registration_endpoint is None:
        raise _refusal(f"{issuer.issuer} registers nobody: declare a `client_id` of it")
    local = redirect_uri.startswith("http://")
    metadata = OAuthClientMetadata(
        redirect_uris=[AnyUrl(redirect_uri)],
        client_name="Rhone",
        grant_types=list(GRANTS),
        token_endpoint_auth_method=method,
        application_type="native" if local else "web",
        scope=scope,
    )
    request = create_client_registration_request(issuer, metadata, "")
    try:
        made = await handle_registration_response(await _sent(http, request))
        check_registration_usable(made)
    except OAuthRegistrationError:  # which tells the answer
        raise _refusal(f"{issuer.issuer} did not register us") from None
    of_us = {"client_id": made.client_id, "client_secret": made.client_secret}
    given = made.token_endpoint_auth_method or (method if made.client_secret else "none")
    return known.model_copy(update={**of_us, "auth_method": given})


def _for_a_browser(url: str, entry: AccountEntry, issuer: OAuthMetadata) -> str:
    """The address at which a person agrees: https, or in the clear where that origin is declared."""
    address = httpx2.URL(str(issuer.authorization_endpoint))
    declared = origin_of(address) in [origin_of(httpx2.URL(one)) for one in (url, entry.issuer) if one]
    if address.userinfo or address.fragment or (address.scheme != "https" and not declared):
        raise _refusal(f"{issuer.issuer} sends people to an address that is not https")
    return str(address)


async def _post(
    http: httpx2.AsyncClient,
    address: str,
    agreement: Agreement,
    secret: str | None,
    form: Mapping[str, str],
) -> httpx2.Response:
    """A form to the issuer, with what proves who we are."""
    headers: dict[str, str] = {}
    proof = {"client_id": agreement.client_id}
    ours = agreement.client_secret or secret
    if ours is not None and agreement.auth_method == "client_secret_basic":
        pair = f"{quote(agreement.client_id, safe='')}:{quote(ours, safe='')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif ours is not None and agreement.auth_method == "client_secret_post":
        proof["client_secret"] = ours
    return await _sent(http, http.build_request("POST", address, data={**form, **proof}, headers=headers))


async def _sent(http: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """The whole answer. What is over the limits or comes from nobody is Unavailable, and so is a fault of
    the other side."""
    try:
        answer = await http.send(request, follow_redirects=False)
    except (httpx2.HTTPError, httpx2.StreamError) as fault:
        raise Unavailable(AWAY, f"{request.url.host}: {type(fault).__name__}") from fault
    if NOT_SENT in answer.extensions:
        raise Unavailable(AWAY, answer.extensions[NOT_SENT])
    if answer.status_code >= 500 or answer.status_code == 429:
        raise Unavailable(AWAY, f"{request.url.host} answers with the status {answer.status_code}")
    return answer


def _tokens(agreement: Agreement, answer: httpx2.Response) -> Tokens:
    """Nothing of a body is told but the issuer's own word for the fault."""
    if answer.status_code not in (200, 201):
        raise _refusal(f"{agreement.issuer} said no: {_word(answer)}")
    try:
        told = OAuthToken.model_validate_json(answer.content)
        return Tokens.model_validate(told.model_dump(include=set(Tokens.model_fields)))
    except ValidationError:
        raise _refusal(f"{agreement.issuer} did not give tokens") from None


def _word(answer: httpx2.Response) -> str:
    try:
        word = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
    fine = word.isascii() and word.replace("_", "").isalnum()
    return word[:60] if fine else f"status {answer.status_code}"


def _refusal(message: str) -> Refused:
    return Refused(REFUSED, message)
