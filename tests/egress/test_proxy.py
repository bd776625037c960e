"""The proxy at its socket: what it lets through, what goes in as a credential, and what it tells."""

import asyncio
import base64
from typing import Any

import pytest

from capabilities.egress import placeholder
from protocol.egress import EgressEntry
from protocol.ids import RunId
from records import boxes
from tests.egress.upstream import CANARY
from tests.egress.world import SECRET, Client, Outside
from worker.egress.control import open_door

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


def rule(world: Outside, host: str = "api.test", **fields: Any) -> dict[str, Any]:
    return {"host": host, "port": world.upstream.port, **fields}


async def opened(world: Outside, *rules: dict[str, Any]) -> tuple[RunId, Client]:
    run = await world.run({"rules": list(rules)})
    return run, Client(await world.door(run))


async def test_what_is_granted_passes_and_leaves_no_row(world: Outside) -> None:
    run, client = await opened(world, rule(world))
    answer = await client.get("api.test", world.upstream.port, "/passes?with=query")
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(CANARY)
    assert [one.method for one in world.upstream.of("/passes?with=query")] == ["GET"]
    assert await world.denials(run) == []
    assert await world.audited(run) == []


async def test_one_connection_carries_many_requests(world: Outside) -> None:
    _, client = await opened(world, rule(world, methods=["GET", "POST"]))
    port = world.upstream.port
    host = f"Host: api.test:{port}\r\n"
    first = f"GET /many HTTP/1.1\r\n{host}\r\n"
    second = f"POST /many HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    third = f"POST /many HTTP/1.1\r\n{host}Content-Length: 2\r\nConnection: close\r\n\r\nde"
    answer = await client.inside("api.test", port, (first + second + third).encode())
    assert answer.count(b"HTTP/1.1 200") == 3
    assert [(one.method, one.body) for one in world.upstream.of("/many")] == [
        ("GET", b""),
        ("POST", b"abc"),
        ("POST", b"de"),
    ]


async def test_a_name_is_looked_up_once_for_each_connection_and_never_by_anybody_else(world: Outside) -> None:
    """So an answer that changes between the check and the dialling changes nothing."""
    _, client = await opened(world, rule(world))
    world.looked_up.clear()
    await client.get("api.test", world.upstream.port, "/once")
    assert world.looked_up == ["api.test"]


async def test_a_connection_that_lies_idle_serves_the_next_reading_of_its_box(world: Outside) -> None:
    rules = rule(world, methods=["GET", "POST"])
    (_, client), (_, other) = await opened(world, rules), await opened(world, rules)
    world.looked_up.clear()
    port = world.upstream.port
    for _ in range(3):
        assert (await client.get("api.test", port, "/idle")).endswith(CANARY)
    assert world.looked_up == ["api.test"]
    assert (await client.get("api.test", port, "/idle", "Content-Length: 0", method="POST")).endswith(CANARY)
    assert (await other.get("api.test", port, "/idle")).endswith(CANARY)
    assert world.looked_up == ["api.test"] * 3


async def test_a_connection_that_was_closed_while_it_lay_idle_is_dialled_anew(world: Outside) -> None:
    _, client = await opened(world, rule(world))
    world.upstream.hung_up.clear()
    for _ in range(2):
        assert (await client.get("api.test", world.upstream.port, "/last")).endswith(CANARY)
        await world.upstream.hung_up.wait()
    assert len(world.upstream.of("/last")) == 2


async def test_what_may_change_something_is_in_the_receipt_before_it_leaves(world: Outside) -> None:
    run, client = await opened(world, rule(world, methods=["POST"]))
    await client.get("api.test", world.upstream.port, "/write", "Content-Length: 0", method="POST")
    [audited] = await world.audited(run)
    assert {name: audited[name] for name in ("use", "method", "host", "port")} == {
        "use": "request",
        "method": "POST",
        "host": "api.test",
        "port": world.upstream.port,
    }


async def test_a_denial_is_an_event_and_an_audit_row_once(world: Outside) -> None:
    run, client = await opened(world, rule(world, paths=["/v1/*"]))
    for _ in range(3):
        answer = await client.get("api.test", world.upstream.port, "/v2/x")
        assert answer.startswith(b"HTTP/1.1 403") and b"egress.path" in answer
    [told] = await world.denials(run)
    assert (told["rule"], told["host"], told["method"], told["path"]) == (
        "egress.path",
        "api.test",
        "GET",
        "/v2/x",
    )
    [audited] = await world.audited(run)
    assert (audited["use"], audited["rule"]) == ("denied", "egress.path")
    assert world.upstream.of("/v2/x") == []


async def test_an_empty_list_reaches_nothing(world: Outside) -> None:
    _, client = await opened(world, rule(world, methods=[]))
    assert b"egress.method" in await client.get("api.test", world.upstream.port, "/")
    _, client = await opened(world, rule(world, paths=[]))
    assert b"egress.path" in await client.get("api.test", world.upstream.port, "/")
    run = await world.run({"rules": []})
    with pytest.raises(Exception, match="was granted no egress"):
        await world.door(run)


async def test_a_tunnel_is_passed_on_unseen_to_its_host_only(world: Outside) -> None:
    port = world.upstream.port
    run, client = await opened(world, rule(world, tunnel=True))
    (client.door / "ca.pem").write_bytes(world.upstream.ca.read_bytes())
    answer = await client.inside(
        "api.test", port, b"DELETE /through HTTP/1.1\r\nHost: any.thing\r\nConnection: close\r\n\r\n"
    )
    assert answer.endswith(CANARY)
    assert [one.host for one in world.upstream.of("/through")] == ["any.thing"]
    other = await client.inside("api.test", port, b"GET / HTTP/1.1\r\n\r\n", name="other.test")
    assert other.startswith(b"no TLS")
    assert [told["rule"] for told in await world.denials(run)] == ["egress.mismatch"]
    uses = [one["use"] for one in await world.audited(run)]
    assert sorted(uses) == ["closed", "denied", "tunnel"]


# credentials


def house(world: Outside, **fields: Any) -> dict[str, Any]:
    return rule(world, credential="house", methods=["GET", "POST", "DELETE"], **fields)


async def test_a_placeholder_becomes_the_credential_and_its_echo_is_masked(world: Outside) -> None:
    run, client = await opened(world, house(world))
    mine = placeholder(run, "house")
    basic = base64.b64encode(f"user:{mine}".encode()).decode()
    for number, header in enumerate((f"Bearer {mine}", f"Basic {basic}")):
        target = f"/echo/{number}"
        answer = await client.get("api.test", world.upstream.port, target, f"Authorization: {header}")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        [came] = world.upstream.of(target)
        sent = came.headers["authorization"]
        kind, _, value = sent.partition(" ")
        plain = value if kind == "Bearer" else base64.b64decode(value).decode().removeprefix("user:")
        assert plain == SECRET
        assert came.headers["accept-encoding"] == "identity"
        assert SECRET.encode() not in answer and base64.b64encode(b"user:" + SECRET.encode()) not in answer
        assert b"***" in answer


REFUSED = {
    "another method": ("/echo/x", "Authorization: Bearer {mine}", "PUT", "egress.method"),
    "a method without it": ("/echo/x", "Authorization: {mine}", "DELETE", "egress.credential"),
    "another path": ("/v1/echo", "Authorization: Bearer {mine}", "GET", "egress.credential"),
    "a path that climbs out": ("/echo/../v1", "Authorization: Bearer {mine}", "GET", "egress.credential"),
    "another header": ("/echo/x", "X-Key: {mine}", "GET", "egress.credential"),
    "the address": ("/echo/x?key={mine}", "X-Key: no", "GET", "egress.credential"),
    "one of another run": ("/echo/x", "Authorization: Bearer {theirs}", "GET", "egress.credential"),
    "one of another run in Basic": ("/echo/x", "Authorization: Basic {basic}", "GET", "egress.credential"),
}


@pytest.mark.parametrize("place", list(REFUSED))
async def test_a_placeholder_goes_nowhere_but_where_it_was_bound(world: Outside, place: str) -> None:
    """SEC-02: another method, path, header or run."""
    target, header, method, code = REFUSED[place]
    run, client = await opened(world, house(world))
    theirs = placeholder(RunId("run_01hzzzzzzzzzzzzzzzzzzzzzzz"), "house")
    words = {
        "mine": placeholder(run, "house"),
        "theirs": theirs,
        "basic": base64.b64encode(f"x:{theirs}".encode()).decode(),
    }
    before = len(world.upstream.came)
    answer = await client.get(
        "api.test", world.upstream.port, target.format(**words), header.format(**words), method=method
    )
    assert answer.startswith(b"HTTP/1.1 403") and code.encode() in answer, answer
    assert len(world.upstream.came) == before
    assert [told["rule"] for told in await world.denials(run)] == [code]


async def test_a_placeholder_means_nothing_at_another_host_or_in_another_box(world: Outside) -> None:
    """SEC-02."""
    run, client = await opened(world, house(world), rule(world, "other.test"))
    mine = f"Authorization: Bearer {placeholder(run, 'house')}"
    assert b"egress.credential" in await client.get("other.test", world.upstream.port, "/echo/x", mine)
    _, another = await opened(world, house(world))
    assert b"egress.credential" in await another.get("api.test", world.upstream.port, "/echo/x", mine)
    assert all(SECRET not in str(came.headers) for came in world.upstream.of("/echo/x"))


async def test_a_credential_is_granted_for_its_own_host_only(world: Outside) -> None:
    run = await world.world.run(session_id=await world.world.session())
    document = await world.resolved(run, {"rules": [rule(world, "other.test", credential="house")]})
    assert [grant for grant in document.grants if grant.kind == "egress"] == []
    assert [denial.rule for denial in document.denials] == ["egress.unknown_credential"]


async def test_a_door_closes_with_its_run(world: Outside) -> None:
    """SEC-02: within five seconds of its end."""
    run, client = await opened(world, rule(world))
    assert (await client.get("api.test", world.upstream.port, "/before")).endswith(CANARY)
    await world.world.commit(lambda tx: boxes.release(tx, run), run)
    async with asyncio.timeout(5):
        while client.door.exists():
            await asyncio.sleep(0.05)


# the proxy's own life


async def test_a_proxy_that_is_started_anew_opens_its_doors_again_and_is_still_believed(
    world: Outside,
) -> None:
    _, client = await opened(world, rule(world))
    believed = (client.door / "ca.pem").read_bytes()
    await world.reopen()
    assert (client.door / "ca.pem").read_bytes() == believed
    assert (await client.get("api.test", world.upstream.port, "/again")).endswith(CANARY)


async def test_a_box_that_is_nobodys_gets_no_door(world: Outside) -> None:
    with pytest.raises(Exception, match="is not the box of a run"):
        await open_door(world.folder, boxes.BoxId("box_01hzzzzzzzzzzzzzzzzzzzzzzz"))


async def test_without_an_egress_in_the_configuration_all_of_it_is_denied(world: Outside) -> None:
    run = await world.world.run(session_id=await world.world.session())
    with_it, world.entry = world.entry, None
    try:
        document = await world.resolved(run, {"bundle": "pypi"}, {"rules": [rule(world)]})
    finally:
        world.entry = with_it
    assert [grant for grant in document.grants if grant.kind == "egress"] == []
    assert {denial.rule for denial in document.denials} == {"egress.not_configured"}
    assert isinstance(with_it, EgressEntry)
