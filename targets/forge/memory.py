"""A forge in a directory, for tests: bare repositories, and pull requests in files that outlive a crash.

`<root>/<owner>/<repository>.git` are the repositories; beside each stand its pull requests, in the order of
their opening, in `<repository>.pulls.json`. Both can be counted after a crash.
"""

import fcntl
import json
import os
from pathlib import Path

from protocol.errors import InvalidRequest
from protocol.forge import ForgeRepository, PullRequest
from targets.forge.faults import repository_not_found
from targets.forge.mirror import Mirror


class DirectoryForge:
    """The pull requests of one repository in a directory; its branches are read through the mirror."""

    def __init__(self, root: Path, mirror: Mirror, owner: str, repository: str) -> None:
        self._git_dir = root / owner / f"{repository}.git"
        self._file = root / owner / f"{repository}.pulls.json"
        self._mirror = mirror
        self._name = f"{owner}/{repository}"

    async def repository(self) -> ForgeRepository:
        if not self._git_dir.is_dir():
            raise repository_not_found(self._name)
        head = (self._git_dir / "HEAD").read_text().strip()
        return ForgeRepository(name=self._name, default_branch=head.removeprefix("ref: refs/heads/"))

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        rows = await self.pull_requests(head, base)
        return next((row for row in rows if row.head_id == head_id), None)

    async def pull_requests(self, head: str, base: str) -> tuple[PullRequest, ...]:
        wanted = [row for row in reversed(self._read()) if (row.head, row.base) == (head, base)]
        return tuple([await self._current(row) for row in wanted])

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        head_id = await self._mirror.branch_head(head)
        if head_id is None or head == base or await self._mirror.branch_head(base) is None:
            raise InvalidRequest(
                "git.forge_refused", f"{self._name}: no pull request from {head!r} to {base!r}"
            )
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = self._read()
            for row in rows:
                if (row.head, row.base, row.state) == (head, base, "open"):
                    return await self._current(row)
            number = len(rows) + 1
            made = PullRequest(
                number=number,
                url=f"file://{self._git_dir}/pulls/{number}",
                head=head,
                base=base,
                head_id=head_id,
                state="open",
            )
            self._write([*rows, made])
        return made

    async def _current(self, row: PullRequest) -> PullRequest:
        """An open pull request follows its branch."""
        head_id = await self._mirror.branch_head(row.head) if row.state == "open" else None
        return row.model_copy(update={"head_id": head_id}) if head_id else row

    def _read(self) -> list[PullRequest]:
        text = self._file.read_text() if self._file.exists() else "[]"
        return [PullRequest.model_validate(row) for row in json.loads(text)]

    def _write(self, rows: list[PullRequest]) -> None:
        unfinished = self._file.with_suffix(".new")
        with unfinished.open("w") as file:
            json.dump([row.model_dump() for row in rows], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
