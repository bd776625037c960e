"""SEC-04: whatever stands in the place of a key opens nothing, breaks nothing, and is only a value."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, event, text

from records import keys
from tests.flow.gateway.house import House

NAUGHTY: list[str] = json.loads((Path(__file__).parents[2] / "naughty" / "blns.json").read_text())
SQL = (
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "'; DROP TABLE keys; --",
    "' UNION SELECT * FROM keys --",
    "x' AND 1=(SELECT COUNT(*) FROM keys) --",
    "\\'; SELECT pg_sleep(10); --",
    "key_%",
    "key______________________________",
    "1); ATTACH DATABASE '/tmp/x' AS x; --",
    "' || (SELECT secret_hash FROM keys LIMIT 1) || '",
    "$1",
    ":key_id",
    "?",
    "%(id_1)s",
    "*",
)


UNSENT = {*range(0x20), 0x7F} - set(b"\t")
"""What no header may hold: a server says so, or hangs up."""


def lines_of(tokens: list[str]) -> list[bytes]:
    return [b"Bearer " + token.encode(errors="surrogatepass") for token in tokens]


@contextmanager
def statements() -> Iterator[list[tuple[str, str]]]:
    """Each statement with its parameters, as the driver gets them."""
    seen: list[tuple[str, str]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        seen.append((statement, repr(parameters)))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def answered(home: House, header: bytes) -> bytes:
    """The status line of the answer to a request that no client would write; empty where none came."""
    place = urlsplit(str(home.client.base_url))
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(b"GET /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: " + header + b"\r\n\r\n")
        return await asyncio.wait_for(reader.readline(), 30)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.slow
async def test_no_naughty_string_is_a_key(home: House) -> None:
    token = await home.key("read")
    name, secret = token[: -len("_") - 43], token[-43:]
    bent = [f"rhone_sk_{part}_{secret}" for part in SQL] + [f"{name}_{part}" for part in SQL]
    bent += [token + part for part in (*SQL, *NAUGHTY[:40]) if part]
    sent = lines_of([*NAUGHTY, *SQL, *bent])
    for header in sent:
        broken = set(header) & UNSENT
        status = (await answered(home, header))[9:12]
        assert status == b"401" or (broken and status in (b"400", b"")), (header, status)
    async with home.holding(token) as holder:
        assert (await holder.get("/v1/runs")).status_code == 200


async def test_a_key_is_a_parameter_and_its_secret_is_never_looked_up(home: House) -> None:
    token = await home.key("read")
    key = keys.read(token, home.gateway.pepper)
    assert key is not None
    with statements() as seen:
        for one in (token, token[:-1] + ("A" if token[-1] != "A" else "B")):
            async with home.holding(one) as holder:
                await holder.get("/v1/runs")
    asked = [(statement, given) for statement, given in seen if "FROM keys" in statement]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    for statement, given in asked:
        assert key.key_id in given
        assert not any(part in statement + given for part in (key.secret_hash, token[-43:]))
        assert key.key_id not in statement


async def test_from_the_table_of_keys_no_key_can_be_made(home: House) -> None:
    tokens = [await home.key("read") for _ in range(3)]

    def dumped(connection: Any) -> str:
        return "\n".join(str(tuple(row)) for row in connection.execute(text("SELECT * FROM keys")))

    dump = await home.gateway.database.read(dumped)
    for token in tokens:
        key = keys.read(token, home.gateway.pepper)
        assert key is not None
        assert key.secret_hash in dump
        assert token not in dump
        assert token[-43:] not in dump
        other = keys.read(token, b"another pepper")
        assert other is not None
        assert other.secret_hash not in dump
        async with home.holding(
            f"rhone_sk_{key.key_id.removeprefix('key_')}_{key.secret_hash[:43]}"
        ) as holder:
            assert (await holder.get("/v1/runs")).status_code == 401
    assert home.gateway.pepper.decode() not in dump
