"""Webhooks: put by the API, told by the courier, signed, as often as it takes."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from protocol.config_text import parse_config
from protocol.errors import InvalidRequest
from protocol.webhook import DeliveryEntry
from providers.web.guard import Guard
from records.seal import Seal
from records.webhooks import Due
from tests.flow.gateway.house import House, error_of, house
from worker.courier import Courier, headers_of, key_of

pytestmark = pytest.mark.slow

PATTERNS = ["checkpoint.*", "run.completed"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Heard(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Somebody who listens; it answers with `statuses` in turn, the last one from then on."""

    def __init__(self, *statuses: int) -> None:
        self.heard: list[Heard] = []
        self._statuses = list(statuses) or [200]
        self.port = 0

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append(Heard(head[0].split()[1], headers, body))
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        place = f"Location: http://{self.place}/moved\r\n" if status in (301, 302, 307, 308) else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{place}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(*statuses: int) -> AsyncGenerator[Receiver]:
    receiver = Receiver(*statuses)
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


def courier(home: House, receiver: Receiver, **entry: Any) -> Courier:
    told = {"first_retry_s": 0.001, "longest_retry_s": 0.002, "allow_private": (receiver.place,), **entry}
    return hand(home, DeliveryEntry.model_validate(told))


def hand(home: House, entry: DeliveryEntry, guard: Guard | None = None) -> Courier:
    seal = Seal(home.gateway.pepper)
    return Courier(home.gateway.database, home.worker, lambda reference: SECRET, seal, entry, guard)


async def put(home: House, url: str, name: str = "team", **more: Any) -> Any:
    body = {"url": url, "events": PATTERNS, **more}
    return await home.client.put(f"/v1/webhooks/{name}", json=body)


async def deliveries(home: House, name: str = "team", **query: Any) -> list[dict[str, Any]]:
    answer = await home.client.get(f"/v1/webhooks/{name}/deliveries", params={"order": "asc", **query})
    return answer.json()["items"]


async def test_a_signature_is_that_of_the_published_example() -> None:
    due = Due(
        id="msg_p5jXN8AQM9LWM0D4loKWxJek", type="t", attempts=1, project_id="", webhook="", url="",
        sealed=None, secret_ref=None, data="", at=datetime.fromtimestamp(1614265330, UTC),
    )  # fmt: skip
    headers = headers_of(due, SECRET, b'{"test": 2432232314}')
    assert headers["webhook-id"] == due.id
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "x", SECRET[6:], "whsec_", "whsec_AAAA", "whsec_!" + "A" * 40])
def test_nothing_is_signed_with_a_secret_that_is_none(secret: str) -> None:
    with pytest.raises(InvalidRequest):
        key_of(secret)


async def test_a_checkpoint_is_told_signed_with_the_secret_that_was_shown_once(home: House) -> None:
    async with listening() as receiver:
        made = await put(home, f"http://{receiver.place}/hook?x=1")
        assert made.status_code == 201
        secret = made.json()["secret"]
        again = await put(home, f"http://{receiver.place}/hook?x=1")
        assert (again.status_code, again.json()["secret"]) == (200, None)
        assert (await home.client.get("/v1/webhooks/team")).json()["secret"] is None
        run_id = await home.start()
        checkpoint = await home.ask(run_id)
        assert await courier(home, receiver).deliver() == 1
        [heard] = receiver.heard
        assert (heard.path, heard.headers["host"]) == ("/hook?x=1", receiver.place)
        signed = f"{heard.headers['webhook-id']}.{heard.headers['webhook-timestamp']}.".encode() + heard.body
        mac = hmac.new(base64.b64decode(secret[6:]), signed, hashlib.sha256).digest()
        assert heard.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
        told = json.loads(heard.body)
        page = (await home.client.get(f"/v1/runs/{run_id}/events", params={"limit": 200})).json()["items"]
        event = next(one for one in page if one["type"] == "checkpoint.opened")
        assert told == {"type": "checkpoint.opened", "timestamp": event["at"], "data": event}
        assert told["data"]["checkpoint_id"] == checkpoint.id
        [entry] = await deliveries(home)
        assert (entry["id"], entry["state"], entry["attempts"], entry["last_status"]) == (
            heard.headers["webhook-id"],
            "delivered",
            1,
            200,
        )


async def test_it_is_tried_again_under_the_same_id_until_it_is_taken(home: House) -> None:
    async with listening(500, 429, 204) as receiver:
        await put(home, f"http://{receiver.place}/")
        await home.ask(await home.start())
        sender = courier(home, receiver)
        while (await deliveries(home))[0]["state"] == "pending":
            await sender.deliver()
        assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1
        assert len({heard.body for heard in receiver.heard}) == 1
        assert [entry["attempts"] for entry in await deliveries(home, state="delivered")] == [3]


async def test_after_so_many_attempts_it_is_given_up_and_said_why(home: House) -> None:
    async with listening(503) as receiver:
        await put(home, f"http://{receiver.place}/")
        await home.ask(await home.start())
        sender = courier(home, receiver, attempts=3)
        while (await deliveries(home))[0]["state"] == "pending":
            await sender.deliver()
        [entry] = await deliveries(home, state="given_up")
        assert (entry["attempts"], entry["last_error"], len(receiver.heard)) == (3, "HTTP 503", 3)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_never_followed(home: House, status: int) -> None:
    async with listening(status) as receiver:
        await put(home, f"http://{receiver.place}/")
        await home.ask(await home.start())
        await courier(home, receiver, attempts=1).deliver()
        assert [heard.path for heard in receiver.heard] == ["/"]
        assert (await deliveries(home))[0]["last_error"] == f"HTTP {status}"


async def test_a_private_address_is_refused_where_it_is_dialled(home: House) -> None:
    """Also a name that leads there only now: the guard looks at what is dialled, not at what was put."""

    async def rebound(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with listening() as receiver:
        await put(home, f"http://{receiver.place}/")
        await put(home, f"http://hooks.example.com:{receiver.port}/", "named")
        await home.ask(await home.start())
        entry = DeliveryEntry(attempts=1)
        guard = Guard(resolve=rebound)
        await hand(home, entry, guard).deliver()
        assert receiver.heard == []
        for name in ("team", "named"):
            [told] = await deliveries(home, name)
            assert (told["state"], "not a public address" in told["last_error"]) == ("given_up", True)


async def test_a_courier_that_dies_after_it_told_tells_again(home: House) -> None:
    async with listening() as receiver:
        await put(home, f"http://{receiver.place}/")
        await home.ask(await home.start())
        dying = asyncio.create_task(courier(home, receiver, timeout_s=0.001).deliver())
        await asyncio.wait([dying])
        sender = courier(home, receiver)
        while (await deliveries(home))[0]["state"] == "pending":
            await sender.deliver()
        assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1


async def test_a_run_s_end_is_told_with_its_outcome(home: House) -> None:
    async with listening() as receiver:
        await put(home, f"http://{receiver.place}/")
        run_id = await home.start()
        await home.end(run_id)
        await courier(home, receiver).deliver()
        [told] = [json.loads(heard.body) for heard in receiver.heard]
        assert (told["type"], told["data"]["run_id"], told["data"]["output_text"]) == (
            "run.completed",
            run_id,
            "done",
        )


async def test_what_does_not_fit_is_refused_by_its_field(home: House) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://user:word@example.com/"}, "url"),
        ({"url": "https://example.com/#x"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["run.*", "tool.*"]}, "events[1]"),
        ({"events": ["*"]}, "events[0]"),
        ({"project": "proj_other"}, "project"),
    ]
    for changed, param in wrong:
        body = {"url": "https://example.com/", "events": PATTERNS, **changed}
        answer = await home.client.put("/v1/webhooks/team", json=body)
        assert error_of(answer) == (400, "request.invalid_field", param), changed
    assert error_of(await put(home, "https://example.com/", "a b"))[2] == "name"
    assert error_of(await home.client.get("/v1/webhooks/team"))[:2] == (404, "webhook.not_found")
    async with home.holding(await home.key("run", "decide", "read")) as person:
        asked = {"url": "https://example.com/", "events": PATTERNS}
        answer = await person.put("/v1/webhooks/team", json=asked)
        assert error_of(answer)[:2] == (403, "auth.scope_missing")


async def test_a_webhook_is_listed_replaced_and_removed(home: House) -> None:
    await put(home, "https://example.com/1")
    await put(home, "https://example.com/2", "other")
    await put(home, "https://example.com/3")
    listed = (await home.client.get("/v1/webhooks", params={"order": "asc"})).json()["items"]
    assert [(one["name"], one["url"][-1]) for one in listed] == [("team", "3"), ("other", "2")]
    assert (await home.client.delete("/v1/webhooks/team")).json() == {"name": "team"}
    assert error_of(await home.client.delete("/v1/webhooks/team"))[:2] == (404, "webhook.not_found")


DECLARED = """
[webhooks.team]
url = "https://example.com/hook"
events = ["checkpoint.*"]
secretRef = { kind = "file", name = "hook.secret" }
"""


async def test_a_declared_webhook_is_there_and_changed_in_its_file_only(tmp_path: Any) -> None:
    async with house(tmp_path / "data", config=DECLARED) as home:
        found = (await home.client.get("/v1/webhooks/team")).json()
        assert (found["declared"], found["events"]) == (True, ["checkpoint.*"])
        assert error_of(await put(home, "https://example.com/"))[:2] == (409, "webhook.declared")
        assert error_of(await home.client.delete("/v1/webhooks/team"))[:2] == (409, "webhook.declared")
    with pytest.raises(InvalidRequest, match="events"):
        parse_config(DECLARED.replace("checkpoint.*", "tool.*"))
