"""Act of `save_artifact`: a file of the work tree into the blob store, by the digest of its bytes."""

import asyncio
import re
from mimetypes import MimeTypes
from pathlib import PurePosixPath

from protocol.artifact import MOST_BYTES, Artifact, NewArtifact
from protocol.digest import digest_bytes
from protocol.errors import Refused, TargetRefused
from records import artifacts
from records.database import Database
from records.writer import Writer
from worker.act import Doing, Prepared, Result, failure
from worker.workspace_acts import ROOT, StillOpen

_TYPES = MimeTypes()
_LONGEST_NAME = 200
_UNKNOWN = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,127}")


class Keeping:
    """A retry finds what an earlier try has kept, also where the box is another one by now."""

    def __init__(self, target: StillOpen, database: Database, writer: Writer) -> None:
        self._target = target
        self._database = database
        self._writer = writer

    async def prepare(self, doing: Doing) -> Prepared:
        files: dict[str, str] = {}
        if doing.asked:
            files[_path(doing)] = digest_bytes(await self._read(doing))
        return Prepared(cwd=ROOT, files=files, kept={"name": _name(doing), "media_type": _media_type(doing)})

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        execution = doing.execution
        kept = await self._database.read(lambda c: artifacts.of_execution(c, execution.id))
        if kept is not None:
            return _saved(kept)
        data = await self._read(doing)
        held = await asyncio.to_thread(self._database.blobs.put, data)
        approved = prepared.files.get(_path(doing), held)
        if held != approved:
            return failure(f"Not done: {_path(doing)} changed after the approval. Call again.")
        new = NewArtifact(
            tool_execution_id=execution.id,
            name=_name(doing),
            path=_path(doing),
            media_type=_media_type(doing),
            size=len(data),
            digest=held,
        )
        made = await self._writer.commit(
            lambda tx: artifacts.save(tx, execution.run_id, execution.session_id, new),
            runs=[execution.run_id],
        )
        return _saved(made)

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        """It is over before anybody could stop it."""

    async def _read(self, doing: Doing) -> bytes:
        data = await (await self._target()).read(_path(doing), limit=MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            message = f"{_path(doing)} has more than {MOST_BYTES} bytes"
            raise TargetRefused("artifact.too_large", message, param="path")
        return data


def _path(doing: Doing) -> str:
    return str(doing.execution.arguments["path"])


def _name(doing: Doing) -> str:
    """The one that was asked for, else the file's own."""
    given = doing.execution.arguments.get("name")
    name = str(given) if given is not None else PurePosixPath(_path(doing)).name
    if name in ("", ".", "..") or len(name) > _LONGEST_NAME or not name.isprintable() or {*name} & {*"/\\"}:
        message = f"{name[:_LONGEST_NAME]!r} is not the name of an artifact: one of printable characters"
        raise Refused("artifact.name_refused", message, param="name")
    return name


def _media_type(doing: Doing) -> str:
    given = doing.execution.arguments.get("media_type")
    if given is None:
        return _TYPES.guess_type(_name(doing))[0] or _UNKNOWN
    if not _MEDIA_TYPE.fullmatch(str(given)):
        message = f"{str(given)[:200]!r} is not a media type, such as text/html"
        raise Refused("artifact.media_type_refused", message, param="media_type")
    return str(given)


def _saved(made: Artifact) -> Result:
    return Result(
        text=f"kept {made.path} as the artifact {made.name}: {made.size} bytes, {made.digest}",
        effect={"artifact_id": made.id, "digest": made.digest, "size": made.size},
    )
