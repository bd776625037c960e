"""Commands about skills: import a folder or an archive under a version, list and show what is there."""

import asyncio
import base64
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from capabilities.branch import name_fault
from cli import show as tell
from cli.connect import connect
from cli.failure import Failure
from cli.home import Home
from cli.lists import Limit, listed
from cli.options import Reach, spelled_out
from cli.settings import read_settings
from protocol.config_text import parse_config
from protocol.errors import Fault
from protocol.front_matter import split_front_matter
from records.archives import MAX_ARCHIVE, MAX_CONTENT, Entry, check_path, read_archive
from records.secrets import Secrets
from targets.forge.forges import Forges

skill = typer.Typer(
    help="Import, list and show skills.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_COLUMNS = {
    "SKILL": "name",
    "VERSION": "version",
    "DESCRIPTION": "description",
    "DIGEST": "digest",
    "CREATED": "created_at",
}


@dataclass(frozen=True)
class Reference:
    """Where in a repository on a declared forge a skill lies."""

    ref: Annotated[
        str | None, typer.Option(help="A tag, a branch or a commit of a repository on a declared forge.")
    ] = None
    path: Annotated[str, typer.Option(help="The skill's folder in that repository.")] = ""
    config: Annotated[Path | None, typer.Option(help="rhone.toml; else that of the last start.")] = None


def import_skill(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder with a SKILL.md, a zip or a tar; with --ref a repository as forge/owner/name.",
        ),
    ],
    reach: Reach,
    reference: Reference,
    version: Annotated[str, typer.Option(help="The version to keep it under, for good.")],
) -> None:
    """Import a skill under a version, which never changes afterwards."""
    path = Path(source)
    if reference.ref is not None:
        archive = asyncio.run(fetched(source, reference, reach.data))
    else:
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


async def fetched(remote: str, of: Reference, data: Path | None) -> bytes:
    """The folder as a commit has it, as an archive: out of the mirror, which has the forge's credential, and
    never checked out."""
    ref, folder = of.ref or "", of.path.strip("/")
    if _COMMIT.fullmatch(ref) is None and (fault := name_fault(ref)) is not None:
        raise Failure(f"--ref: {fault}")
    home = Home(read_settings(data=data).data)
    started_with = home.read_place().get("config")
    file = of.config or (Path(started_with) if started_with else None)
    if file is None:
        raise Failure("--config: nothing was ever started here, so say which rhone.toml names the forge")
    config = parse_config(file.read_text(), name=file.name)
    forges = Forges(config.forges, Secrets(home.root, os.environ).resolve, home.root)
    try:
        if folder:
            check_path(folder)
        mirror = forges.resolve(remote).mirror
        files = await forges.folders.files(mirror, await mirror.fetch_named(ref), folder)
    except Fault as fault:
        raise Failure(fault.message) from fault
    prefix = f"{folder.rpartition('/')[2]}/" if folder else ""
    return _tarred((f"{prefix}{one.path}", one.data, one.executable) for one in files)


def _packed(folder: Path) -> bytes:
    """A folder as a tar, its files in order; a link or a device in it is refused, not followed."""
    return _tarred(_files_in(folder))


def _files_in(folder: Path) -> Iterator[tuple[str, bytes, bool]]:
    total = 0
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise Failure(f"{path} is neither a file nor a folder")
        total += status.st_size
        if total > MAX_CONTENT:
            raise Failure(f"{folder} holds more than {MAX_CONTENT} bytes")
        name = f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}"
        yield name, path.read_bytes(), bool(status.st_mode & 0o111)


def _tarred(files: Iterable[tuple[str, bytes, bool]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        for name, data, executable in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if executable else 0o644
            archive.addfile(info, io.BytesIO(data))
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
