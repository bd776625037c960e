"""Doors: one socket for each box with an egress grant, open as long as the records say that it is alive."""

import asyncio
import json
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

from capabilities.egress import granted
from protocol.errors import Fault, Refused
from protocol.ids import BoxId, is_id
from records import egress
from records.database import Database
from records.logs import logger
from records.writer import Writer
from worker.egress.authority import Authority
from worker.egress.control import SOCKET, NotOpened, Opened, short
from worker.egress.reach import Reach
from worker.egress.streams import Plain
from worker.egress.terms import Ledger, Terms
from worker.egress.visit import Visit
from worker.known_runs import KnownRuns

LOOK_SECONDS = 0.5
BLIND_SECONDS = 4.0
"""With records that have not answered for so long nobody passes: a run may have ended meanwhile."""

VISITS = 300
"""Connections of one box at once."""

log = logger(__name__)


class Door:
    """The socket of one box, and who is in it."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._visits: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.shut = False

    async def open(self, folder: Path) -> None:
        (folder / "door").unlink(missing_ok=True)
        with short(folder) as name:
            self._server = await asyncio.start_unix_server(self._welcome, f"{name}/door")
        (folder / "door").chmod(0o666)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.empty()

    async def empty(self) -> None:
        """Ends every connection that there is."""
        leaving = list(self._visits)
        for visit in leaving:
            visit.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        self._terms.spare.close()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shut or len(self._visits) >= VISITS:
            writer.close()
            return
        visit = asyncio.get_running_loop().create_task(Visit(self._terms).serve(Plain(reader, writer)))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)


class Doors:
    """All doors of one machine."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        writer: Writer,
        known: KnownRuns,
        reach: Reach,
        secret: Callable[[str, str, int], bytes],
        authorities: bytes,
    ) -> None:
        self._folder = folder
        self._database = database
        self._writer = writer
        self._known = known
        self._reach = reach
        self._secret = secret
        self._authorities = authorities
        self._doors: dict[BoxId, tuple[Door, Opened]] = {}
        self._opening = asyncio.Lock()

    async def listen(self) -> asyncio.Server:
        """Opens again what was open, then hears who wants a door."""
        for path in self._folder.iterdir():
            if is_id("box_", path.name):
                try:
                    await self.open(BoxId(path.name))
                except Refused:
                    shutil.rmtree(path, ignore_errors=True)
        (self._folder / SOCKET).unlink(missing_ok=True)
        with short(self._folder) as name:
            return await asyncio.start_unix_server(self._asked, f"{name}/{SOCKET}")

    async def open(self, box: BoxId) -> Opened:
        """Raises Refused for a box that is nobody's, or whose run was granted no egress."""
        async with self._opening:
            if box in self._doors:
                return self._doors[box][1]
            run_id = (await self._database.read(lambda c: egress.alive(c, [box]))).get(box)
            if run_id is None:
                raise Refused("egress.no_box", f"{box} is not the box of a run")
            rules = granted((await self._known.get(run_id)).snapshot)
            if not rules:
                raise Refused("egress.not_granted", f"{run_id} was granted no egress")
            inside = self._folder / box / "inside"
            inside.mkdir(parents=True, exist_ok=True)
            authority = Authority.kept_in(self._folder / box / "authority.pem", f"Rhone egress {box}")
            inside.chmod(0o755)  # for the user of the box, whatever this process keeps to itself
            (inside / "ca.pem").write_bytes(authority.pem + self._authorities)
            (inside / "ca.pem").chmod(0o644)
            ledger = Ledger(self._writer, run_id, box)
            door = Door(Terms(run_id, rules, authority, self._reach, ledger, self._secret))
            await door.open(inside)
            opened = Opened(door=str(inside), authority=authority.fingerprint)
            self._doors[box] = (door, opened)
            log.info("a door is open", box_id=box, run_id=run_id)
            return opened

    async def look_for_ever(self) -> None:
        """Closes what the records no longer know, and all where they do not answer."""
        clock = asyncio.get_running_loop().time
        seen = clock()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
                seen = clock()
            except Fault as fault:
                log.warning("the boxes cannot be looked up", reason=fault.message)
            await self._shut(shut=clock() - seen > BLIND_SECONDS)

    async def close(self) -> None:
        """They are opened again by the next proxy."""
        await asyncio.gather(*(door.close() for door, _ in self._doors.values()))

    async def _look(self) -> None:
        open_now = list(self._doors)
        if not open_now:
            return
        alive = await self._database.read(lambda c: egress.alive(c, open_now))
        for box in open_now:
            if box not in alive:
                door, _ = self._doors.pop(box)
                await door.close()
                shutil.rmtree(self._folder / box, ignore_errors=True)
                log.info("a door is closed", box_id=box)

    async def _shut(self, *, shut: bool) -> None:
        for door, _ in self._doors.values():
            if shut and not door.shut:
                await door.empty()
            door.shut = shut

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            box = BoxId(str(json.loads(await reader.readline())["box_id"]))
            answer = await self.open(box)
        except Fault as fault:
            answer = NotOpened(code=fault.code, message=fault.message)
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer = NotOpened(code="egress.malformed", message=str(error))
        writer.write(answer.model_dump_json().encode() + b"\n")
        writer.close()


def public_authorities() -> bytes:
    """Those that this machine believes: a box needs them where the proxy does not see into a connection."""
    paths = ssl.get_default_verify_paths()
    found = Path(paths.cafile) if paths.cafile else None
    return found.read_bytes() if found is not None and found.exists() else b""
