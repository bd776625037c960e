"""FIL-04: pages of the web, and what is none: inner addresses, bombs, endless bodies, lying types."""

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator

import pytest

from protocol.errors import Refused
from providers.web.body import LIMIT
from providers.web.fetch import Fetcher
from providers.web.guard import Guard
from tests.unit.providers.loopback import Backend

HTML = (("content-type", "text/html; charset=utf-8"),)


@pytest.fixture
async def canary() -> AsyncIterator[Backend]:
    """What must never be asked for anything."""
    backend = await Backend().start()
    yield backend
    assert backend.connections == 0
    await backend.stop()


def place(backend: Backend, host: str = "127.0.0.1") -> str:
    port = backend.url.removesuffix("/v1").rpartition(":")[2]
    return f"{host}:{port}"


def fetcher(*allowed: str, seconds: float = 5) -> Fetcher:
    return Fetcher(Guard(allowed), seconds=seconds)


async def refused(fetch: Fetcher, url: str) -> str:
    with pytest.raises(Refused) as caught:
        await fetch.fetch(url)
    return caught.value.code


INNER = (
    *(
        "127.0.0.1",
        "127.1",
        "127.000.000.001",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
    ),
    *(
        "0.0.0.0",
        "0",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.255.255.254",
        "１２７.０.０.１",
    ),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "10.0.0.1"),
    *("192.168.0.1", "①②⑦.⓪.⓪.①"),
)


async def test_thirty_inner_addresses_are_refused_before_a_connection(canary: Backend) -> None:
    assert len(INNER) == 30
    for host in INNER:
        code = await refused(fetcher(), f"http://{place(canary, host)}/latest/meta-data/")
        assert code in ("web.address_refused", "web.unresolved", "web.url_invalid"), (host, code)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://example.org/x", "gopher://localhost/", "data:text/html,x", "//x", "x"),
        *("", "http://", "http://user:pw@example.org/", "http://example.org@127.0.0.1/", "http://[::1"),
    ],
)
async def test_what_is_no_plain_address_of_the_web_is_refused(url: str) -> None:
    assert await refused(fetcher(), url) in ("web.scheme", "web.url_invalid")


async def test_a_name_whose_answer_changes_after_the_check_is_dialled_at_the_checked_address(
    canary: Backend, backend: Backend
) -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    guard = Guard(resolve=resolve)
    assert await guard.address("rebind.test", 80) == "93.184.215.14"
    assert await refused(Fetcher(guard), f"http://{place(canary, 'rebind.test')}/") == "web.address_refused"


@pytest.mark.parametrize("host", INNER)
async def test_a_redirect_inwards_is_told_and_not_followed(
    canary: Backend, backend: Backend, host: str
) -> None:
    inward = f"http://{place(canary, host)}/secret"
    backend.answer(b"", status="302 Found", headers=[("location", inward)], end="whole")
    if host == "127.0.0.1":
        assert await refused(fetcher(place(backend)), f"http://{place(backend)}/") == "web.address_refused"
        return
    try:
        page = await fetcher(place(backend)).fetch(f"http://{place(backend)}/")
        assert page.moved_to is not None
        assert await refused(fetcher(place(backend)), page.moved_to) in (
            "web.address_refused",
            "web.unresolved",
        )
    except Refused as fault:
        assert fault.code in ("web.address_refused", "web.url_invalid")


async def test_redirects_on_one_host_are_followed_five_times(backend: Backend) -> None:
    backend.answer(b"", status="301 Moved", headers=[("location", "/again")], end="whole")
    assert await refused(fetcher(place(backend)), f"http://{place(backend)}/") == "web.redirects"
    assert [asked.path for asked in backend.asked] == ["/", *["/again"] * 5]


async def test_a_page_is_asked_for_by_its_own_name_and_read_as_text(backend: Backend) -> None:
    backend.answer(b"<h1>Hello</h1><p>w\xc3\xb6rld", headers=HTML, end="whole")
    page = await fetcher(place(backend, "localhost")).fetch(f"http://{place(backend, 'localhost')}/a?b=c#d")
    assert (page.text, page.status, page.whole) == ("# Hello\n\nwörld", 200, True)
    asked = backend.asked[0]
    assert (asked.path, asked.headers["host"]) == ("/a?b=c", place(backend, "localhost"))
    assert not {"authorization", "cookie"} & set(asked.headers)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/pdf", b"%PDF-1.7"),
        ("text/html", b"%PDF-1.7 lies"),
        ("text/plain", b"PK\x03\x04 lies"),
        ("text/html", b"<p>\0\0\0"),
        ("image/png", b"\x89PNG"),
        ("application/octet-stream", b"x"),
        ("", b"\0\1\2"),
    ],
)
async def test_what_holds_no_text_is_refused_whatever_it_says(
    backend: Backend, kind: str, body: bytes
) -> None:
    backend.answer(body, headers=[("content-type", kind)] if kind else [], end="whole")
    assert await refused(fetcher(place(backend)), f"http://{place(backend)}/") == "web.not_text"


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "café"),
        ("text/plain; charset=utf-16-le", "hi".encode("utf-16-le"), "hi"),
        ("text/plain; charset=zlib", b"plain", "plain"),
        ("text/plain", b"\xff\xfeh\0i\0", "hi"),
        ("application/vnd.x+json", b'{"a": 1}', '{"a": 1}'),
        ("", b"<!doctype html><p>x", "x"),
    ],
)
async def test_text_is_decoded_as_it_says(backend: Backend, kind: str, body: bytes, text: str) -> None:
    backend.answer(body, headers=[("content-type", kind)] if kind else [], end="whole")
    assert (await fetcher(place(backend)).fetch(f"http://{place(backend)}/")).text == text


async def test_a_bomb_is_unpacked_up_to_the_limit(backend: Backend) -> None:
    bomb = gzip.compress(b"a" * 60_000_000)
    backend.answer(bomb, headers=[*HTML, ("content-encoding", "gzip")], end="whole")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    page = await fetcher(place(backend)).fetch(f"http://{place(backend)}/")
    assert (len(page.text), page.whole) == (LIMIT, False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip"])
async def test_an_encoding_that_was_not_asked_for_or_is_broken_is_refused(
    backend: Backend, encoding: str
) -> None:
    backend.answer(b"not packed", headers=[*HTML, ("content-encoding", encoding)], end="whole")
    assert await refused(fetcher(place(backend)), f"http://{place(backend)}/") == "web.encoding"


async def test_an_endless_body_ends_at_the_limit(backend: Backend) -> None:
    backend.answer(*[b"a" * 65_536] * 100, headers=HTML)
    page = await fetcher(place(backend)).fetch(f"http://{place(backend)}/")
    assert (len(page.text), page.whole) == (LIMIT, False)


async def test_a_silent_server_and_a_slow_one_end_at_the_time_limit(backend: Backend) -> None:
    backend.answer(silent=True)
    assert await refused(fetcher(place(backend), seconds=0.2), f"http://{place(backend)}/") == "web.timeout"
    backend.answer(b"drip", headers=HTML, end="hang")
    async with asyncio.timeout(30):
        assert (
            await refused(fetcher(place(backend), seconds=0.2), f"http://{place(backend)}/") == "web.timeout"
        )


async def test_a_cut_answer_is_no_page(backend: Backend) -> None:
    backend.answer(b"half", headers=HTML, end="cut")
    assert await refused(fetcher(place(backend)), f"http://{place(backend)}/") == "web.unreachable"
