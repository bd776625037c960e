"""A server outside that is an index of Python packages and a registry of npm's, with one package of each."""

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import h11

from tests.egress.proxied import HOST
from tests.egress.upstream import Upstream
from worker.egress.streams import Wire

WHEEL = "salut-1.0.0-py3-none-any.whl"
_WHEEL_FILES = {
    "salut.py": "def greet(name):\n    return f'salut {name}'\n",
    "salut-1.0.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: salut\nVersion: 1.0.0\n",
    "salut-1.0.0.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "salut-1.0.0.dist-info/RECORD": "salut.py,,\nsalut-1.0.0.dist-info/METADATA,,\n",
}
_NPM_FILES = {
    "package/package.json": json.dumps({"name": "servus", "version": "1.0.0", "main": "index.js"}),
    "package/index.js": "exports.greet = (name) => `servus ${name}`;\n",
}


class Packages(Upstream):
    """What pip finds under `/simple` and npm under `/npm`; everything else is not there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._wheel, self._tarball = _wheel(), _tarball()

    @property
    def index(self) -> str:
        return f"https://{HOST}:{self.port}/simple"

    @property
    def registry(self) -> str:
        return f"https://{HOST}:{self.port}/npm/"

    @property
    def project(self) -> dict[str, str]:
        """Files of a project whose tests need both packages, locked by their digests."""
        wheel = hashlib.sha256(self._wheel).hexdigest()
        own = {"name": "demo", "version": "1.0.0", "dependencies": {"servus": "1.0.0"}}
        locked = {"version": "1.0.0", "resolved": self._resolved, "integrity": self._integrity}
        packages = {"": own, "node_modules/servus": locked}
        lock = {"name": "demo", "version": "1.0.0", "lockfileVersion": 3, "packages": packages}
        return {
            "requirements.txt": f"salut==1.0.0 --hash=sha256:{wheel}\n",
            "package.json": json.dumps(own),
            "package-lock.json": json.dumps(lock),
            ".gitignore": ".deps/\nnode_modules/\n",
            "test_salut.py": "import salut\n\ndef test_it():\n    assert salut.greet('a') == 'salut a'\n",
            "servus.test.js": (
                "const { test } = require('node:test');\nconst { greet } = require('servus');\n"
                "test('it', () => require('node:assert').equal(greet('b'), 'servus b'));\n"
            ),
        }

    @property
    def _resolved(self) -> str:
        return f"{self.registry}servus/-/servus-1.0.0.tgz"

    @property
    def _integrity(self) -> str:
        return "sha512-" + base64.b64encode(hashlib.sha512(self._tarball).digest()).decode()

    async def _answer(self, wire: Wire, target: str, headers: dict[str, str]) -> None:
        kind, body = self._found(target) or ("text/plain", b"not here")
        status = 200 if self._found(target) else 404
        framed = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        answer = [h11.Response(status_code=status, headers=framed), h11.Data(data=body), h11.EndOfMessage()]
        await wire.say(*answer)

    def _found(self, target: str) -> tuple[str, bytes] | None:
        match target:
            case "/simple/salut/":
                return "text/html", f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
            case _ if target == f"/files/{WHEEL}":
                return "application/octet-stream", self._wheel
            case "/npm/servus":
                dist = {"tarball": self._resolved, "integrity": self._integrity}
                version = {"name": "servus", "version": "1.0.0", "dist": dist}
                told = {"name": "servus", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
                return "application/json", json.dumps(told).encode()
            case "/npm/servus/-/servus-1.0.0.tgz":
                return "application/octet-stream", self._tarball
            case _:
                return None


def _wheel() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        for name, text in _WHEEL_FILES.items():
            wheel.writestr(name, text)
    return out.getvalue()


def _tarball() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tarball:
        for name, text in _NPM_FILES.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o644
            tarball.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()
