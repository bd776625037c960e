"""A web server for git on the loopback, which asks for a token and remembers who said what to it."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

TOKEN = "tok-5d3c0ffee-secret"


_API = "/api/v3"
Api = Callable[[str, str, bytes], tuple[int, object]]
"""What answers a REST request: method, path and body in, status and JSON out."""


class Served(ThreadingHTTPServer):
    """Serves the bare repositories under `root`, or answers everything with `status`."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.requests: list[tuple[str, str]] = []
        self.token_in_arguments = False
        self.status: int | None = None
        self.location = ""
        self.headers: dict[str, str] = {}
        self.api: Api | None = None
        self.only_files = False
        self.hang = threading.Event()
        self.held = threading.Event()
        self.hang.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


@contextmanager
def serving(root: Path) -> Generator[Served]:
    server = Served(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Served  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""

    def _answer(self) -> None:
        body = self._body()
        server = self.server
        authorization = self.headers.get("Authorization", "")
        server.requests.append((self.path, authorization))
        asked_by_git = not self.path.startswith(_API)
        server.token_in_arguments |= asked_by_git and _in_any_command_line(TOKEN, authorization or TOKEN)
        server.held.set()
        server.hang.wait(30)
        if server.status is not None:
            self._short(server.status)
        elif not authorization:
            self._short(401)
        elif server.api and self.path.startswith(_API):
            status, answer = server.api(self.command, self.path.removeprefix(_API), body)
            self._send(status, json.dumps(answer).encode())
        elif not self.server.only_files and ("service=" in self.path or self.command == "POST"):
            self._git(body)
        else:
            self._file()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _short(self, status: int) -> None:
        self.send_response(status)
        if self.server.location:
            self.send_header("Location", self.server.location + self.path)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="forge"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _git(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        environment = {
            "PATH": os.defpath,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "worker",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _file(self) -> None:
        path = self.server.root / urlsplit(self.path).path.lstrip("/")
        if not path.is_file():
            return self._short(404)
        self._send(200, path.read_bytes())
        return None

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _in_any_command_line(*texts: str) -> bool:
    return any(text in command for command in command_lines() for text in texts)


def command_lines() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield process.read_text(errors="replace")
        except OSError:
            continue
