"""An MCP server that wants a token, and the authorization server that gives it, at an origin of its own.

`python -m tests.authorized_mcp FOLDER` prints the port of the first; `FOLDER/issuer` holds the address of the
second, where everybody who comes agrees to everything at once. What a test wants otherwise is in
`FOLDER/quirks.json`. Each request to the issuer is a line of `FOLDER/issuer.jsonl`, each to the server a line
of `FOLDER/seen.jsonl`: its token's number, its method, the tool that it calls.
"""

import asyncio
import base64
import hashlib
import json
import logging
import secrets
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.mcp_server import serve

PRM = "/.well-known/oauth-protected-resource/mcp"
SCOPES = {"shout": "read shout"}
"""What a tool needs beyond `read`."""


class Issuer:
    """Tokens are `AT-` and `RT-` with a number that their grant keeps; a refresh token is good once, and used
    twice it ends its grant."""

    def __init__(self, folder: Path, origin: str, resource: str) -> None:
        self.folder, self.origin, self.resource = folder, origin, resource
        self.clients: dict[str, dict[str, Any]] = {"declared": {"client_secret": "s3cret/declared"}}
        self.codes: dict[str, dict[str, str]] = {}
        self.access: dict[str, dict[str, Any]] = {}
        self.refresh: dict[str, dict[str, Any]] = {}
        self.grants = 0

    def quirk(self, name: str, default: Any = None) -> Any:
        path = self.folder / "quirks.json"
        return (json.loads(path.read_text()) if path.exists() else {}).get(name, default)

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/oauth-authorization-server", self.metadata),
            Route("/register", self.register, methods=["POST"]),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]),
            Route("/revoke", self.revoke, methods=["POST"]),
        ]

    def note(self, what: str, **fields: Any) -> None:
        with (self.folder / "issuer.jsonl").open("a") as file:
            file.write(json.dumps({"what": what, **fields}) + "\n")

    async def metadata(self, _: Request) -> Response:
        here = self.origin
        told = {
            "issuer": here,
            "authorization_endpoint": f"{here}/authorize",
            "token_endpoint": f"{here}/token",
            "registration_endpoint": f"{here}/register",
            "revocation_endpoint": f"{here}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["read", "shout", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        }
        told |= self.quirk("metadata", {})
        return JSONResponse({key: value for key, value in told.items() if value is not None})

    async def register(self, request: Request) -> Response:
        asked = await request.json()
        self.note("register", **asked)
        client_id, secret = f"client_{len(self.clients)}", f"s3cret/{secrets.token_hex(8)}"
        self.clients[client_id] = {"client_secret": secret, "redirect_uris": asked["redirect_uris"]}
        return JSONResponse({**asked, "client_id": client_id, "client_secret": secret}, 201)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.note("authorize", **asked)
        client = self.clients[asked["client_id"]]
        fits = asked["code_challenge_method"] == "S256" and asked["resource"] == self.resource
        if not fits or asked["redirect_uri"] not in client.get("redirect_uris", [asked["redirect_uri"]]):
            return Response("no", 400)
        code = f"code_{secrets.token_hex(8)}"
        self.codes[code] = asked
        told = {"state": asked["state"], "iss": self.quirk("iss", self.origin), "code": code}
        if self.quirk("deny"):
            told = {"state": asked["state"], "error": "access_denied"}
        if told.get("iss") == "":
            del told["iss"]
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(told)}")

    async def token(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        client_id = self._client(request, form)
        self.note("token", client=client_id, **form)
        await asyncio.sleep(self.quirk("slow", 0))
        if self.quirk("token"):
            return JSONResponse(self.quirk("token"), self.quirk("status", 400))
        if client_id is None:
            return JSONResponse({"error": "invalid_client"}, 401)
        if form["grant_type"] == "refresh_token":
            return self._renewed(client_id, form)
        asked = self.codes.pop(form.get("code", ""), None)
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        told = {"client_id": client_id, **{key: form.get(key) for key in ("redirect_uri", "resource")}}
        told["code_challenge"] = base64.urlsafe_b64encode(proof).decode().rstrip("=")
        if asked is None or any(asked[key] != value for key, value in told.items()):
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.grants += 1
        return self._given({"number": self.grants, "client": client_id, "scope": asked.get("scope", "")})

    async def revoke(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        if self._client(request, form) is None:
            return JSONResponse({"error": "invalid_client"}, 401)
        grant = self.refresh.get(form["token"]) or self.access.get(form["token"])
        self.note("revoke", hint=form["token_type_hint"])
        if grant is not None:
            grant["over"] = True
        return Response(None, 200)

    def _renewed(self, client_id: str, form: dict[str, str]) -> Response:
        grant = self.refresh.get(form["refresh_token"])
        if grant is None or grant["client"] != client_id or form.get("resource") != self.resource:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if grant["refresh"] != form["refresh_token"]:
            grant["over"] = True
        return JSONResponse({"error": "invalid_grant"}, 400) if grant.get("over") else self._given(grant)

    def _given(self, grant: dict[str, Any]) -> Response:
        access, refresh = f"AT-{secrets.token_hex(16)}", f"RT-{secrets.token_hex(16)}"
        self.access[access] = self.refresh[refresh] = grant
        grant |= {"access": access, "refresh": refresh}
        told = {"access_token": access, "token_type": "bearer", "expires_in": self.quirk("expires_in", 3600)}
        return JSONResponse(told | {"refresh_token": refresh, "scope": grant["scope"]})

    def _client(self, request: Request, form: dict[str, str]) -> str | None:
        head = request.headers.get("authorization", "")
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if head.startswith("Basic "):
            pair = base64.b64decode(head.removeprefix("Basic ")).decode().split(":")
            client_id, secret = unquote(pair[0]), unquote(pair[1])
        known = self.clients.get(client_id)
        return client_id if known is not None and known["client_secret"] == secret else None


class Door:
    """In front of the MCP server: who has no token is told where to get one."""

    def __init__(self, app: ASGIApp, issuer: Issuer) -> None:
        self.app, self.issuer = app, issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        if request.url.path.startswith(PRM):
            told = {"resource": self.issuer.resource, "authorization_servers": [self.issuer.origin]}
            await JSONResponse(told | self.issuer.quirk("resource", {}))(scope, receive, send)
            return
        body = await request.body()
        refusal = self._refusal(request, json.loads(body or "{}"))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return whole.pop() if whole else await receive()

        await self.app(scope, again, send)

    def _refusal(self, request: Request, message: dict[str, Any]) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        grant = self.issuer.access.get(token, {"over": True, "number": None})
        tool = message.get("params", {}).get("name") if message.get("method") == "tools/call" else None
        with (self.issuer.folder / "seen.jsonl").open("a") as file:
            file.write(json.dumps({"grant": grant["number"], "tool": tool}) + "\n")
        metadata = f'resource_metadata="{request.base_url}{PRM[1:]}"'
        if grant.get("over") or grant["access"] != token or (tool and self.issuer.quirk("stale") == token):
            return Response("", 401, {"WWW-Authenticate": f'Bearer {metadata}, scope="read"'})
        needed = SCOPES.get(tool or "", "read")
        if set(needed.split()) - set(grant["scope"].split()):
            fault = f'Bearer error="insufficient_scope", scope="{needed}", {metadata}'
            return Response("", 403, {"WWW-Authenticate": fault})
        return None


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    return sock


async def main(folder: Path) -> None:
    logging.disable(logging.CRITICAL)
    here, there = listening(), listening()
    origin = f"http://127.0.0.1:{there.getsockname()[1]}"
    issuer = Issuer(folder, origin, f"http://127.0.0.1:{here.getsockname()[1]}/mcp")
    (folder / "issuer").write_text(origin)
    door = Door(serve(folder).streamable_http_app(), issuer)
    apps = ((door, here), (Starlette(routes=issuer.routes()), there))
    servers = [(uvicorn.Server(uvicorn.Config(app, log_level="critical")), sock) for app, sock in apps]
    print(here.getsockname()[1], flush=True)
    await asyncio.gather(*(server.serve([sock]) for server, sock in servers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
