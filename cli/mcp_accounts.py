"""Commands about accounts at MCP servers: agree in a browser, and take it back."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import typer

from cli import show as tell
from cli.client import given
from cli.connect import connect
from cli.failure import Failure
from cli.options import Reach

PATH = "/callback"
Server = Annotated[str, typer.Argument(metavar="NAME", help="The server.")]


def connect_account(
    name: Server,
    reach: Reach,
    wait: Annotated[int, typer.Option(min=1, help="Seconds to wait for the browser.")] = 300,
) -> None:
    """Connect yourself: open the address that is shown, on this machine, and agree there."""
    with connect(reach) as client, _listening() as browser:
        body = {"redirect_uri": f"http://127.0.0.1:{browser.server_port}{PATH}"}
        begun = client.post(f"/v1/mcp-servers/{name}:authorize", body)
        typer.echo(
            f"Open this address in a browser on this machine:\n\n{begun['authorization_url']}\n", err=True
        )
        brought = browser.brought(wait)
        made = client.post(f"/v1/mcp-servers/{name}:callback", brought)
    if "error" in brought:
        raise Failure(f"{name} is not connected: the issuer said {brought['error']!r}")
    tell.done(made, f"{name} is connected", as_json=reach.as_json)


def disconnect_account(name: Server, reach: Reach) -> None:
    """Forget your account, and have its tokens taken back."""
    with connect(reach) as client:
        made = client.post(f"/v1/mcp-servers/{name}:disconnect")
    words = "and its tokens are taken back" if made["revoked"] else "but its tokens may live on at the issuer"
    tell.done(made, f"{name} is disconnected, {words}", as_json=reach.as_json)


class _Browser(HTTPServer):
    """A loopback address that a browser is sent to, once."""

    found: dict[str, object] | None = None

    def brought(self, seconds: float) -> dict[str, object]:
        until = time.monotonic() + seconds
        while self.found is None and (left := until - time.monotonic()) > 0:
            self.timeout = left
            self.handle_request()
        if self.found is None:
            raise Failure(f"nobody came back from the browser within {seconds:g} s")
        return self.found


class _Page(BaseHTTPRequestHandler):
    timeout = 5.0

    def do_GET(self) -> None:
        """Tells the person nothing of what came along."""
        parts = urlsplit(self.path)
        said = {key: values[0] for key, values in parse_qs(parts.query).items()}
        fits = parts.path == PATH and "state" in said and ("code" in said) != ("error" in said)
        if fits and isinstance(self.server, _Browser):
            named = {key: said.get(key) for key in ("state", "code", "iss", "error")}
            self.server.found = given(**named)
        text = b"You can close this page.\n" if fits else b"Nothing is here.\n"
        self.send_response(200 if fits else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The request line holds the code."""


@contextmanager
def _listening() -> Generator[_Browser]:
    with _Browser(("127.0.0.1", 0), _Page) as server:
        yield server
