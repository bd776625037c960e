"""A server that speaks just enough of MCP (2025-11-25) to be believed, and then misbehaves.

`python -m tests.hostile_mcp FOLDER` prints its port. The path names the misbehaviour; each call is a line of
`FOLDER/calls.jsonl`.
"""

import asyncio
import gzip
import json
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from providers.mcp.calls import KEY

BLOWS_UP = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
ENDLESS = {"type": "object", "allOf": [{"$ref": "#"}]}
SCHEMAS = {"regex": BLOWS_UP, "recursive": ENDLESS}
TOOL: dict[str, Any] = {"name": "act", "description": "Acts.", "inputSchema": {"type": "object"}}
MEGABYTE = b" " * 1024 * 1024


class Peer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: set[str] = set()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: StreamReader, writer: StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if method != "POST":
            if path == "/canary":
                self._note(case="canary")
            writer.write(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n")
            return True
        message = json.loads(body)
        return await self._answer(path.strip("/"), message, writer)

    async def _answer(self, case: str, message: dict[str, Any], writer: StreamWriter) -> bool:
        number = message.get("id")
        match message["method"]:
            case "server/discover":
                error = {"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "no"}}
                send(writer, json.dumps(error).encode(), status="404 Not Found")
            case "initialize" if case == "silent_start":
                return await forever()
            case "initialize":
                info = {"name": "hostile", "version": "1"}
                result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
                send(writer, answer(number, result))
            case "tools/list" if case == "endless_list":
                send(writer, answer(number, {"tools": [TOOL] * 10, "nextCursor": "again"}))
            case "tools/list" if case == "big_list":
                send(writer, answer(number, {"tools": [TOOL | {"description": "x" * 2_000_000}]}))
            case "tools/list":
                outside = {"$ref": f"http://127.0.0.1:{writer.get_extra_info('sockname')[1]}/canary"}
                schema = outside if case == "remote_ref" else SCHEMAS.get(case)
                tool = TOOL | ({"outputSchema": schema} if schema else {})
                send(writer, answer(number, {"tools": [tool]}))
            case "tools/call":
                meta = message["params"].get("_meta") or {}
                self._note(case=case, meta=meta)
                once = case if case == "cut_first" else str(meta.get(KEY))
                return await self._call(case, number, writer, again=self._again(once))
            case _:
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        return True

    def _note(self, **told: Any) -> None:
        with (self._folder / "calls.jsonl").open("a") as file:
            file.write(json.dumps(told) + "\n")

    def _again(self, key: str) -> bool:
        """Whether a call under this key, or with this misbehaviour, came before."""
        known = key in self._keys
        self._keys.add(key)
        return known

    async def _call(self, case: str, number: Any, writer: StreamWriter, *, again: bool) -> bool:
        good = answer(number, {"content": [{"type": "text", "text": "done"}]})
        match case:
            case "fine":
                send(writer, good)
                return True
            case "cut" | "cut_once" if case == "cut" or not again:
                start(writer, "text/event-stream")
                chunk(writer, b"event: message\n")
            case "cut_once" | "cut_first" if again:
                send(writer, good)
                return True
            case "cut_body" | "cut_first":
                await asyncio.sleep(0.3 if case == "cut_first" else 0.0)  # so that others wait for it
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"
                )
            case "endless_body":
                start(writer, "application/json")
                await flood(writer, MEGABYTE)
            case "gigabyte":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n" % 2**30)
                for _ in range(1024):
                    writer.write(MEGABYTE)
                    await writer.drain()
            case "endless_event":
                start(writer, "text/event-stream")
                await flood(writer, b"data: " + b"x" * 65536)
            case "endless_comments":
                start(writer, "text/event-stream")
                await flood(writer, b": hello\n" * 1000)
            case "endless_notes":
                note = {
                    "jsonrpc": "2.0",
                    "method": "notifications/message",
                    "params": {"level": "info", "data": "x"},
                }
                start(writer, "text/event-stream")
                await flood(writer, event(json.dumps(note).encode()) * 100)
            case "asks_back":
                start(writer, "text/event-stream")
                ask = {"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {}}
                chunk(writer, event(json.dumps(ask).encode()) + event(good))
            case "nested":
                send(
                    writer,
                    b'{"jsonrpc":"2.0","id":%d,"result":' % number + b"[" * 100_000 + b"]" * 100_000 + b"}",
                )
            case "not_utf8":
                send(writer, good.replace(b"done", b"\xff\xfe\xc0"))
            case "surrogates":
                send(writer, good.replace(b"done", b"\\ud800"))
            case "other_id":
                send(writer, answer(4711, {"content": []}))
            case "twice":
                start(writer, "text/event-stream")
                chunk(writer, event(good) + event(good.replace(b"done", b"other")))
            case "drip":
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n"
                )
                for _ in range(900):
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.2)
            case "silent":
                return await forever()
            case "html":
                send(writer, b"<html>hello", kind="text/html")
            case "mismatch":
                send(writer, event(good))
            case "packed":
                send(writer, gzip.compress(b" " * 50_000_000), extra="content-encoding: gzip\r\n")
            case "accepted":
                send(writer, b"", status="202 Accepted")
            case "broken":
                send(writer, b"no", status="500 No", kind="text/plain")
            case "astray":
                send(writer, b"", status="307 Go", extra="location: http://127.0.0.1:1/other\r\n")
            case "around":
                send(writer, b"", status="307 Go", extra="location: /around\r\n")
            case "long_head":
                send(writer, good, extra=f"x-long: {'x' * 1_000_000}\r\n")
            case "other_shape":
                send(writer, answer(number, {"content": "none", "isError": "maybe"}))
            case "regex" | "recursive" | "remote_ref":
                send(writer, answer(number, {"content": [], "structuredContent": {"x": "a" * 60 + "!"}}))
            case _:
                send(writer, b"null")
        await writer.drain()
        return False


def answer(number: Any, result: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


def event(data: bytes) -> bytes:
    return b"event: message\ndata: " + data + b"\n\n"


def start(writer: StreamWriter, kind: str) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())


def chunk(writer: StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n" % len(data) + data + b"\r\n")


async def flood(writer: StreamWriter, data: bytes) -> None:
    while True:
        chunk(writer, data)
        await writer.drain()


def send(
    writer: StreamWriter,
    body: bytes,
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    extra: str = "",
) -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    writer.write(head.encode() + body)


async def forever() -> bool:
    await asyncio.Event().wait()
    return False


async def main() -> None:
    server = await asyncio.start_server(Peer(Path(sys.argv[1])).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
