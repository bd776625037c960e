"""How a worker has the proxy of its machine open the door of a box."""

import asyncio
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from protocol.errors import TargetRefused, TargetUnavailable
from protocol.ids import BoxId
from protocol.noun import JSONObject, Noun

SECONDS = 10.0
AGAIN_SECONDS = 0.2
SOCKET = "control"


class Opened(Noun):
    """`door` is the folder to mount into the box; `authority` is the digest of whom it has to believe."""

    door: str
    authority: str


class NotOpened(Noun):
    code: str
    message: str


def folder_of(data: Path) -> Path:
    """Where the sockets of a machine's proxy lie."""
    return data / "egress"


@contextmanager
def short(folder: Path) -> Generator[str]:
    """A name of a folder that fits into the address of a socket, however deep it lies."""
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{held}"
    finally:
        os.close(held)


async def open_door(data: Path, box: BoxId) -> Opened:
    """Raises TargetUnavailable where no proxy answers, TargetRefused where it does not agree."""
    fault: Exception = TimeoutError("there is none")
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    told = await _told(folder_of(data), box)
                    break
                except (OSError, ValueError) as error:  # it may just be starting
                    fault = error
                await asyncio.sleep(AGAIN_SECONDS)
    except TimeoutError:
        raise TargetUnavailable(
            "egress.proxy_away", f"the egress proxy does not answer: {str(fault) or type(fault).__name__}"
        ) from None
    if "code" in told:
        no = NotOpened.model_validate(told)
        raise TargetRefused(no.code, no.message)
    return Opened.model_validate(told)


async def _told(folder: Path, box: BoxId) -> JSONObject:
    with short(folder) as name:
        reader, writer = await asyncio.open_unix_connection(f"{name}/{SOCKET}")
    try:
        writer.write(json.dumps({"box_id": box}).encode() + b"\n")
        return json.loads(await reader.readline())
    finally:
        writer.close()
