"""A way to the container engine that can be cut and mended."""

import asyncio
from contextlib import suppress
from pathlib import Path


class Relay:
    """A socket whose connections end at the engine's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    async def over(cls, path: Path) -> "Relay":
        relay = cls(path)
        await relay.mend()
        return relay

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def cut(self) -> None:
        self._server.close()
        self._path.unlink()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection("/var/run/docker.sock")
        self._writers += [writer, ours]

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
                sink.write_eof()

        await asyncio.gather(copy(reader, ours), copy(theirs, writer))
