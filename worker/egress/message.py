"""What a box asks, read strictly, and as it goes on: credentials in the place of their placeholders."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import NamedTuple

import h11

from capabilities.egress import PLACEHOLDER, Asked, fits, placeholder
from protocol.egress import PORTS, GrantedEgress
from protocol.errors import Refused
from worker.egress.scrub import Scrub
from worker.egress.terms import Terms

_AUTHORITY = re.compile(r"([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?")
_ABSOLUTE = re.compile(r"http://([^/?#]*)(/[^#]*)?")
_OF_ONE_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"),
        *(b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"alt-svc"),
    )
)
_PARTS = frozenset((b"range", b"if-range", b"accept-encoding"))
"""With a credential an answer is asked for whole and plain: else an echo of it could not be seen."""


class Place(NamedTuple):
    """A host and its port."""

    host: str
    port: int


@dataclass(frozen=True)
class Message:
    """A request as it goes on; `scrub` is for its answer."""

    head: h11.Request
    scrub: Scrub
    secret: bool


def authority_of(text: str, request: h11.Request) -> Place:
    """Where a CONNECT leads, which its `Host` may not deny."""
    place = _place(text, None)
    for value in _hosts(request):
        if _place(value, 443) not in (place, place._replace(port=443)):
            raise Refused("egress.mismatch", f"a CONNECT to {text} has the Host {value[:200]!r}")
    return place


def asked_of(request: h11.Request, inside: Place | None) -> tuple[Asked, bytes]:
    """What is asked, and its target in the form that servers take. `inside` is where the connection leads
    already; a request that is open says it by itself."""
    target = request.target.decode("ascii")
    if inside is None:
        found = _ABSOLUTE.fullmatch(target)
        if found is None:
            raise Refused("egress.malformed", "a proxy is asked with CONNECT, or for an http:// address")
        place, target = _place(found[1].lower(), PORTS["http"]), found[2] or "/"
    else:
        place = inside
    scheme = "http" if inside is None else "https"
    hosts = _hosts(request)
    if len(hosts) != 1 or _place(hosts[0], PORTS[scheme]) != place:
        said = ", ".join(hosts)[:200] or "none"
        raise Refused("egress.mismatch", f"a request to {place.host}:{place.port} has the Host {said!r}")
    if not target.startswith("/") or "#" in target:
        raise Refused("egress.malformed", f"{target[:200]!r} is no path")
    method, path = request.method.decode("ascii"), target.partition("?")[0]
    asked = Asked(scheme=scheme, host=place.host, port=place.port, method=method, path=path)
    return asked, target.encode("ascii")


def filled(
    terms: Terms, request: h11.Request, asked: Asked, target: bytes, granted: GrantedEgress
) -> Message:
    """Raises Refused for a placeholder that means nothing here, or may not go there."""
    if PLACEHOLDER.search(target):
        raise Refused("egress.credential", "a placeholder stands in the address")
    secrets: list[bytes] = []
    headers: list[tuple[bytes, bytes]] = []
    dropped = _of_one_hop(request.headers.raw_items())
    chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    for raw, value in request.headers.raw_items():
        name = raw.lower()
        if name in dropped or (chunked and name == b"content-length"):
            continue
        there = _opened(value)
        if not PLACEHOLDER.search(there):
            headers.append((raw, value))
            continue
        mine, secret = _redeemed(terms, name, there, asked, granted)
        secrets.append(secret)
        put = there.replace(mine, secret)
        headers.append((raw, put if there is value else value[:6] + base64.b64encode(put)))
    if secrets:
        headers = [(raw, value) for raw, value in headers if raw.lower() not in _PARTS]
        headers.append((b"Accept-Encoding", b"identity"))
    if chunked:
        headers.append((b"Transfer-Encoding", b"chunked"))
    head = h11.Request(method=request.method, target=target, headers=headers)
    return Message(head=head, scrub=Scrub(secrets), secret=bool(secrets))


def answered(answer: h11.Response, scrub: Scrub) -> h11.Response:
    """The head of an answer as the box gets it."""
    dropped = _of_one_hop(answer.headers.raw_items())
    headers = [
        (raw, scrub.whole(value)) for raw, value in answer.headers.raw_items() if raw.lower() not in dropped
    ]
    return h11.Response(status_code=answer.status_code, headers=headers)


def _redeemed(
    terms: Terms, header: bytes, value: bytes, asked: Asked, granted: GrantedEgress
) -> tuple[bytes, bytes]:
    """A placeholder of this run, and the credential, where this very request may carry it."""
    bound = granted.binding
    if bound is None:
        raise Refused("egress.credential", f"no credential is granted for this request to {asked.host}")
    mine = placeholder(terms.run_id, bound.name).encode()
    if any(found != mine for found in PLACEHOLDER.findall(value)):
        raise Refused("egress.credential", "a placeholder of another run, or of another credential")
    if header.decode("ascii") != bound.header:
        raise Refused("egress.credential", f"{bound.name!r} goes into the header {bound.header!r} only")
    if asked.method not in bound.methods or not fits(bound.paths, asked.path):
        raise Refused("egress.credential", f"{bound.name!r} may not go with this method and path")
    return mine, terms.secret(bound.name, asked.host, asked.port)


def _opened(value: bytes) -> bytes:
    """The value of a header, or what its Basic credentials hold."""
    if value[:6].lower() != b"basic ":
        return value
    try:
        return base64.b64decode(value[6:].strip(), validate=True)
    except binascii.Error:
        return value


def _of_one_hop(items: list[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """The headers that end here, those that `Connection` names among them."""
    named = {
        part.strip().lower()
        for raw, value in items
        if raw.lower() == b"connection"
        for part in value.split(b",")
    }
    return _OF_ONE_HOP | (named - {b"host", b"content-length", b"authorization"})


def _hosts(request: h11.Request) -> list[str]:
    return [value.decode("latin-1").lower() for name, value in request.headers if name == b"host"]


def _place(text: str, port: int | None) -> Place:
    """A host by its plain name, with a port unless there is a usual one."""
    found = _AUTHORITY.fullmatch(text.lower())
    number = int(found[2]) if found and found[2] else port
    if found is None or number is None or not 0 < number < 65536:
        raise Refused("egress.malformed", f"{text[:200]!r} is no host with a port")
    return Place(found[1], number)
