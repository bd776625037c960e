"""Commands about skills: import a folder or an archive under a version, list and show what is there."""

import base64
import io
import stat
import tarfile
from pathlib import Path
from typing import Annotated

import typer

from cli import show as tell
from cli.connect import connect
from cli.failure import Failure
from cli.lists import Limit, listed
from cli.options import Reach, spelled_out
from protocol.front_matter import split_front_matter
from records.archives import MAX_ARCHIVE, MAX_CONTENT, Entry, read_archive

skill = typer.Typer(
    help="Import, list and show skills.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

_COLUMNS = {
    "SKILL": "name",
    "VERSION": "version",
    "DESCRIPTION": "description",
    "DIGEST": "digest",
    "CREATED": "created_at",
}


def import_skill(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder with a SKILL.md, a zip or a tar.")],
    reach: Reach,
    version: Annotated[str, typer.Option(help="The version to keep it under, for good.")],
) -> None:
    """Import a skill under a version, which never changes afterwards."""
    archive = _packed(path) if path.is_dir() else _read(path)
    name = _name(read_archive(archive))
    body = {"version": version, "archive": base64.b64encode(archive).decode()}
    with connect(reach) as client:
        made = client.put(f"/v1/skills/{name}", body)
    tell.done(made, f"{made['name']}@{made['version']} {made['digest']}", as_json=reach.as_json)


def list_skills(reach: Reach, limit: Limit = 50) -> None:
    """List the versions of all skills, newest first."""
    listed(reach, "/v1/skills", _COLUMNS, limit=limit, empty="no skills")


def show_skill(
    ref: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version.")], reach: Reach
) -> None:
    """Show one version: what it is for, and its files with their digests."""
    with connect(reach) as client:
        told = client.get(f"/v1/skills/{ref}")
    if reach.as_json:
        tell.as_json(told)
        return
    files = told.pop("files")
    tell.facts(told.items())
    assert isinstance(files, list)
    rows = [[one["path"], one["size"], one["digest"]] for one in files if isinstance(one, dict)]
    print()
    tell.table(("FILE", "BYTES", "DIGEST"), rows, empty="no files")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_ARCHIVE:
            raise Failure(f"{path} has more than {MAX_ARCHIVE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error


def _packed(folder: Path) -> bytes:
    """A folder as a tar, its files in order; a link or a device in it is refused, not followed."""
    out, total = io.BytesIO(), 0
    with tarfile.open(fileobj=out, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode):
                raise Failure(f"{path} is neither a file nor a folder")
            total += status.st_size
            if total > MAX_CONTENT:
                raise Failure(f"{folder} holds more than {MAX_CONTENT} bytes")
            info = tarfile.TarInfo(f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}")
            info.size, info.mode = status.st_size, status.st_mode & 0o755
            archive.addfile(info, io.BytesIO(path.read_bytes()))
    return out.getvalue()


def _name(files: dict[str, Entry]) -> str:
    """The skill's own name, which the request's path has to carry; all else is the gateway's to check."""
    for path, entry in files.items():
        if path.rpartition("/")[2] == "SKILL.md" and path.count("/") <= 1:
            try:
                fields, _ = split_front_matter(entry.data.decode())
            except (UnicodeDecodeError, ValueError) as error:
                raise Failure(f"SKILL.md: {error}") from error
            name = (fields or {}).get("name")
            if isinstance(name, str) and name.replace("-", "").isalnum():
                return name
    raise Failure("there is no SKILL.md with a name")


skill.command("import")(spelled_out(import_skill))
skill.command("list")(spelled_out(list_skills))
skill.command("show")(spelled_out(show_skill))
