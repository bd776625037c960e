"""An MCP server (2025-11-25) over its standard streams, in one file of the standard library.

It is run as `python3 -c SOURCE`, so that it needs nothing in the box but Python. `ask` wants a name and an
age of somebody in the middle of its call; `die` ends the program in the middle of its call.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Your name."},
        "age": {"type": "integer", "minimum": 0},
    },
    "required": ["name"],
}
NAMES = ("echo", "get-env", "look", "ask", "ask_again", "die")
TOOLS = [{"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}} for name in NAMES]
calls = 0


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def read() -> dict[str, Any]:
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(0)


def elicit(message: str) -> Any:
    say(
        {"id": "q", "method": "elicitation/create", "params": {"message": message, "requestedSchema": SCHEMA}}
    )
    while True:
        heard = read()
        if heard.get("id") == "q" and "method" not in heard:
            return heard.get("result") or heard.get("error")
        answer(heard)


def tried(work: Any) -> str:
    try:
        work()
    except OSError as error:
        return type(error).__name__
    return "it worked"


def look() -> dict[str, Any]:
    """What the program can do where it runs."""
    return {
        "uid": os.getuid(),
        "network": tried(lambda: socket.create_connection(("192.0.2.1", 80), 1)),
        "root": tried(lambda: Path("/planted").write_text("x")),
        "engine": Path("/var/run/docker.sock").exists(),
        "interfaces": sorted(os.listdir("/sys/class/net")),
    }


def call(name: str, arguments: dict[str, Any]) -> str:
    global calls
    calls += 1
    match name:
        case "echo":
            return f"Echo: {arguments.get('message')} ({calls} calls)"
        case "get-env":
            return json.dumps(dict(os.environ), sort_keys=True)
        case "look":
            return json.dumps(look(), sort_keys=True)
        case "ask":
            return f"told {json.dumps(elicit('Who are you?'), sort_keys=True)} ({calls} calls)"
        case "ask_again":
            told = [elicit("Who are you?"), elicit("And who else?")]
            return f"told {json.dumps(told, sort_keys=True)} ({calls} calls)"
        case _:
            os._exit(3)


def answer(message: dict[str, Any]) -> None:
    number, params = message.get("id"), message.get("params") or {}
    if number is None:
        return
    match message["method"]:
        case "initialize":
            info = {"name": "program", "version": "1"}
            say(
                {
                    "id": number,
                    "result": {
                        "protocolVersion": "2025-11-25",
                        "capabilities": {"tools": {}},
                        "serverInfo": info,
                    },
                }
            )
        case "tools/list":
            say({"id": number, "result": {"tools": TOOLS}})
        case "tools/call":
            text = call(params["name"], params.get("arguments") or {})
            say({"id": number, "result": {"content": [{"type": "text", "text": text}]}})
        case "ping":
            say({"id": number, "result": {}})
        case _:
            say({"id": number, "error": {"code": -32601, "message": "no"}})


def main() -> None:
    print("a line that is no message", flush=True)
    while True:
        answer(read())


if __name__ == "__main__":
    main()
