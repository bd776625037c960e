"""`egress`: what the proxy adds to a request from a box, on a kept connection and on one of its own."""

import asyncio
import json
import os

from bench.figures import Goal, Pair, Row
from bench.runs import MODEL, carried_out
from bench.scale import Scale
from bench.servers import Stack, answers, free_port, fresh_stack
from cli.supervise import stack as programs
from worker.egress.authority import Authority

HOST = "localhost"
HANDSHAKES = "a connection of its own shakes hands with the proxy, in Python"
CONFIG = """
[providers.local]
protocol = "scripted"
models = ["{model}"]
script = "script.toml"
[targets.dev]
kind = "workspace"
limits = {{ memory_mb = 512, disk_mb = 128 }}
[workspaces]
pool_size = 0
[egress]
ca = "outside.pem"
allow_private = ["{host}:{port}"]
"""

CLIENT = r"""
python3 - <<'END'
import json, os, socket, ssl, statistics, time
PORT, ROUNDS = {port}, {rounds}
ASK = b"GET /v1 HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % PORT
outside = ssl.create_default_context(cafile="/rhone-egress/outside.pem")
ours = ssl.create_default_context(cafile="/rhone-egress/ca.pem")

def bare():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect("/rhone-egress/direct")
    return outside.wrap_socket(sock, server_hostname="localhost")

def proxied():
    sock = socket.create_connection(("127.0.0.1", 3128))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"CONNECT localhost:%d HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % (PORT, PORT))
    assert b" 200 " in sock.recv(4096)
    return ours.wrap_socket(sock, server_hostname="localhost")

def ask(sock):
    sock.sendall(ASK)
    answer = b""
    while not answer.endswith(b"hello"):
        piece = sock.recv(4096)
        assert piece, answer
        answer += piece

def timed(work):
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)

def alone(connect):
    with connect() as sock:
        ask(sock)

while not os.path.exists("/rhone-egress/direct"):
    time.sleep(0.02)
kept = [(bare(), []), (proxied(), [])]
single = [(bare, []), (proxied, [])]
for number in range(ROUNDS + 10):
    for sock, took in kept:
        took.append(timed(lambda: ask(sock)))
    for connect, took in single:
        took.append(timed(lambda: alone(connect)))
print(json.dumps([[statistics.median(took[10:]) for _, took in one] for one in (kept, single)]))
END
"""


async def measure(scale: Scale) -> list[Row]:
    kept: list[Pair] = []
    single: list[Pair] = []
    for _ in range(scale.repeats):
        for pairs, (bare, proxied) in zip((kept, single), await _medians(scale.of(400, 100)), strict=True):
            pairs.append(Pair(base=bare, ours=proxied - bare))
    goal = (Goal("<=", 5.0, of="ours"),)
    claim = "added by the proxy to a request from a box (baseline: the request without it), p50"
    return [
        Row(f"{claim}: on a kept connection", "ms", tuple(kept), goal),
        Row(
            f"{claim}: on a connection of its own, where the proxy has one to the host",
            "ms",
            tuple(single),
            goal,
            why=HANDSHAKES,
        ),
    ]


async def _medians(rounds: int) -> list[list[float]]:
    port = free_port()
    config = CONFIG.format(model=MODEL, host=HOST, port=port)
    async with fresh_stack(config=config, script=_script(CLIENT.format(port=port, rounds=rounds))) as stack:
        root = stack.place.home.root
        (root / "outside.pem").write_bytes(Authority.kept_in(root / "outside.key", "outside").pem)
        stack.start(stack.python("peer", "-m", "bench.egress_peer", str(port), str(root)))
        await answers(port)
        stack.start(programs.egress(stack.place))
        await stack.worker()
        giving = asyncio.create_task(_give_direct_way(stack))
        told = await carried_out(
            stack,
            {
                "input": "measure",
                "target": {"kind": "workspace", "name": "dev"},
                "capabilities": [{"kind": "egress", "rules": [{"host": HOST, "port": port}]}],
            },
        )
        giving.cancel()
    return json.loads(json.loads(told[-1].data)["output_text"])


async def _give_direct_way(stack: Stack) -> None:
    """The baseline: a second socket beside the box's door, behind which the server itself listens."""
    root = stack.place.home.root
    while True:
        for inside in (root / "egress").glob("box_*/inside"):
            if (inside / "door").exists():
                (inside / "outside.pem").write_bytes((root / "outside.pem").read_bytes())
                os.link(root / "direct", inside / "direct")
                return
        await asyncio.sleep(0.02)


def _script(command: str) -> str:
    call = f"tool_calls = [{{ name = \"bash\", arguments = {{ command = '''{command}''' }} }}]"
    return f'[[scenarios]]\n[[scenarios.turns]]\n{call}\n[[scenarios.turns]]\ntext = "{{last_result}}"\n'
