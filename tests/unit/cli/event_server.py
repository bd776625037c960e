"""A server of one run's events that hangs up wherever it is told to."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from protocol.noun import JSONObject

RUN = "run_0123456789abcdefghjkmnpqrs"


def events(count: int) -> list[JSONObject]:
    """A run's events with characters of one to four bytes; the last one is terminal."""
    made: list[JSONObject] = [
        {"type": "response.delta", "seq": seq, "run_id": RUN, "delta": f"aß…𝒳 {seq}"}
        for seq in range(1, count)
    ]
    return [*made, {"type": "run.completed", "seq": count, "run_id": RUN}]


def frame(event: JSONObject) -> bytes:
    data = json.dumps(event, ensure_ascii=False)
    return f"id: {event['seq']}\nevent: {event['type']}\ndata: {data}\n\n".encode()


Answer = bytes | None
"""A whole HTTP answer; None hangs up at once."""


class Server:
    """Answers each connection with what `answer` makes of its request head, then hangs up."""

    def __init__(self, answer: Callable[[int, str], Answer]) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heads: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                    head += piece
                self.heads.append(head.decode())
                answer = self._answer(len(self.heads), head.decode())
                if answer:
                    connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)


@contextmanager
def serving(answer: Callable[[int, str], Answer]) -> Iterator[Server]:
    server = Server(answer)
    try:
        yield server
    finally:
        server.close()


def last_event_id(head: str) -> int:
    lines = [line.partition(":") for line in head.splitlines()]
    return next((int(value) for name, _, value in lines if name.lower() == "last-event-id"), 0)


def stream(body: bytes, *, cut: int | None = None, chunked: bool = False) -> bytes:
    """An event stream as an answer, cut after so many bytes of its body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    body = b"retry: 1000\n\n" + body
    if chunked:
        whole = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body)) + b"0\r\n\r\n"
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + whole[:cut]
    return head + b"Connection: close\r\n\r\n" + body[:cut]


def _parts(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 1000] for at in range(0, len(body), 1000))


def told(status: int, error: JSONObject) -> bytes:
    body = json.dumps({"error": error}).encode()
    return b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
