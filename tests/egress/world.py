"""A run with egress, its door, and names that lead wherever a test wants."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from capabilities.catalogue import Catalogue
from capabilities.offer import Stock, shelf_mark
from capabilities.policy import Policy, shipped
from capabilities.resolve import ResolveRequest, resolve
from capabilities.signing import Signer, TrustedKey, generate
from capabilities.snapshot import seal
from capabilities.verdict import Asker
from protocol.capability import CapabilitySnapshot, EgressCapability, SnapshotDocument
from protocol.egress import EgressEntry
from protocol.ids import BoxId, RunId, SnapshotId, derived, fresh
from protocol.run import TargetChoice
from protocol.secret import SecretRef
from providers.web.guard import Guard
from records import boxes, runs, snapshots
from records.database import Database
from records.hints import LocalHints
from records.receipt_tables import receipts
from records.secrets import Secrets
from records.tx import Tx
from records.writer import Writer
from tests.egress.upstream import Upstream
from tests.records.world import World
from worker.egress.control import short
from worker.egress.doors import Doors
from worker.egress.main import Credentials
from worker.egress.reach import Reach
from worker.egress_source import EgressSource
from worker.known_runs import KnownRuns

SECRET = "s3cret/of+the.house"


class Outside:
    """Everything beyond a box: the proxy, the records, and a server with names."""

    def __init__(self, folder: Path, world: World, upstream: Upstream) -> None:
        self.folder = folder
        self.world = world
        self.upstream = upstream
        self.names: dict[str, list[str]] = {}
        self.looked_up: list[str] = []
        self.doors: Doors
        self._signer = Signer(generate())

    async def open(self, entry: EgressEntry) -> None:
        self.entry = entry
        keys = {self._signer.key_id: TrustedKey(self._signer.public_key)}
        self._doors_folder = self.folder / "egress"
        self._doors_folder.mkdir(exist_ok=True)
        (self.folder / "token").write_text(SECRET)
        self.doors = Doors(
            self._doors_folder,
            self.world.database,
            self.world.writer,
            KnownRuns(self.world.database, keys),
            Reach(Guard(entry.allow_private, self._resolve), self.upstream.ca),
            Credentials(entry, Secrets(self.folder, {})).value,
            b"",
        )
        self._server = await self.doors.listen()
        self._looking = asyncio.create_task(self.doors.look_for_ever())

    async def shut(self) -> None:
        self._looking.cancel()
        self._server.close()
        await self.doors.close()

    async def reopen(self) -> None:
        """Another proxy takes the place of this one, which leaves its sockets behind."""
        await self.shut()
        await self.open(self.entry)

    async def run(self, *capabilities: dict[str, Any]) -> RunId:
        """A run whose box may have what is asked for."""
        run_id = await self.world.run(session_id=await self.world.session())
        document = await self.resolved(run_id, *capabilities)

        def unit(tx: Tx) -> None:
            snapshot_id = SnapshotId(derived("capsnap_", run_id, 0))
            assert snapshots.add(tx, self.world.tenant, seal(document, snapshot_id, tx.now, self._signer), [])
            runs.set_snapshot(tx, run_id, snapshot_id)

        await self.world.commit(unit, run_id)
        return run_id

    async def resolved(self, run_id: RunId, *capabilities: dict[str, Any]) -> SnapshotDocument:
        asked = tuple(EgressCapability.model_validate({"kind": "egress", **one}) for one in capabilities)
        source = EgressSource(self.entry)
        record = await self.world.record(run_id)
        offers = {shelf_mark(one): await source.offers(record, one) for one in asked}
        request = ResolveRequest(
            run_id=run_id,
            principal=Asker(id="prin_admin"),
            capabilities=asked,
            target=TargetChoice(kind="workspace", name="dev"),
        )
        return resolve(request, Stock(Catalogue(), offers), Policy.load([shipped()]))

    async def snapshot(self, run_id: RunId) -> CapabilitySnapshot:
        found = await self.world.read(
            lambda connection: snapshots.load(connection, SnapshotId(derived("capsnap_", run_id, 0)))
        )
        assert found is not None
        return found

    async def door(self, run_id: RunId) -> Path:
        """The folder of a new box of the run."""
        box = BoxId(fresh("box_"))
        assert await self.world.commit(lambda tx: boxes.begin(tx, box, run_id, "dev"), run_id)
        return Path((await self.doors.open(box)).door)

    async def denials(self, run_id: RunId) -> list[dict[str, Any]]:
        return [event for event in await self.world.log(run_id) if event["type"] == "egress.denied"]

    async def audited(self, run_id: RunId) -> list[dict[str, Any]]:
        """What the run's receipt says of its egress."""
        query = select(receipts.c.record).where(receipts.c.run_id == run_id, receipts.c.kind == "egress")
        found = await self.world.read(lambda c: list(c.execute(query.order_by(receipts.c.ordinal)).scalars()))
        return [json.loads(text)["body"] for text in found]

    async def _resolve(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]


@asynccontextmanager
async def outside(folder: Path) -> AsyncGenerator[Outside]:
    database = Database.open(f"sqlite:///{folder / 'rhone.db'}", folder / "blobs")
    database.migrate()
    writer = Writer(database, LocalHints())
    async with Upstream(folder) as upstream:
        made = Outside(folder, await World.make(database, writer), upstream)
        yield made
        await made.shut()
    writer.close()
    database.close()


def entry(upstream: Upstream, names: Sequence[str], **credential: Any) -> EgressEntry:
    """An `[egress]` under which these names may lie on the test's own machine."""
    private = [f"{name}:{port}" for name in names for port in (upstream.port, upstream.plain_port)]
    token = {
        "valueRef": SecretRef(kind="file", name="token"),
        "host": names[0],
        "port": upstream.port,
        "variable": "HOUSE_TOKEN",
        "methods": ("GET", "POST"),
        "paths": ("/echo/**",),
        **credential,
    }
    return EgressEntry.model_validate({"allow_private": private, "credentials": {"house": token}})


class Client:
    """A program in a box that speaks to its proxy, here over the socket itself."""

    def __init__(self, door: Path) -> None:
        self.door = door

    async def plain(self, data: bytes) -> bytes:
        reader, writer = await self._open()
        writer.write(data)
        answer = await _all(reader)
        writer.close()
        return answer

    async def inside(
        self, host: str, port: int, data: bytes, *, name: str | None = "", connect: str = ""
    ) -> bytes:
        """What is answered to bytes that go through a CONNECT, in TLS; the proxy's no where it refuses."""
        reader, writer = await self._open()
        writer.write(
            connect.encode() or f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        )
        said = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in said:
            return said + await _all(reader)
        context = ssl.create_default_context(cafile=self.door / "ca.pem")
        context.check_hostname = name == ""
        try:
            await writer.start_tls(context, server_hostname=name or (host if name == "" else None))
        except (OSError, ssl.SSLError) as error:
            return f"no TLS: {error}".encode()
        writer.write(data)
        answer = await _all(reader)
        writer.close()
        return answer

    async def get(self, host: str, port: int, target: str, *headers: str, method: str = "GET") -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *headers, "", ""]
        return await self.inside(host, port, "\r\n".join(lines).encode())

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with short(self.door) as name:
            return await asyncio.open_unix_connection(f"{name}/door")


async def _all(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except (OSError, ssl.SSLError) as error:
        return f"cut: {error}".encode()
