"""A registry with one image, spoken to as engines do: enough of the protocol for a pull."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def serving(files: dict[str, bytes]) -> Generator[str]:
    """The full name of an image of these files; an address of the loopback needs no certificate."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as layer:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            layer.addfile(info, io.BytesIO(data))
    rootfs = {"type": "layers", "diff_ids": [_digest(out.getvalue())]}
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs, "history": []}
    ).encode()
    blobs = {_digest(one): one for one in (out.getvalue(), config)}
    described = [{"size": len(data), "digest": digest} for digest, data in blobs.items()]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar", **described[0]}],
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **described[1]},
        }
    ).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            last = self.path.rpartition("/")[2]
            if "/manifests/" in self.path:
                self._say(manifest, _MANIFEST)
            elif last in blobs:
                self._say(blobs[last], "application/octet-stream")
            else:
                self._say(b"{}", "application/json")

        do_HEAD = do_GET  # noqa: N815  the library's spelling

        def _say(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", _digest(data))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}/demo/tool:1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
