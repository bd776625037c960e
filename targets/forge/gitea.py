"""Gitea's pull requests (API v1; Forgejo speaks the same)."""

from typing import Any, cast

from protocol.forge import ForgeRepository, PullRequest
from targets.forge.rest import Rest, refused

_PAGE = 50
_PAGES = 10


class Gitea:
    """One repository on a Gitea."""

    def __init__(self, rest: Rest, owner: str, repository: str) -> None:
        self._rest = rest
        self._path = f"/repos/{owner}/{repository}"
        self._about = f"{owner}/{repository}"

    async def repository(self) -> ForgeRepository:
        body = cast(Any, (await self._rest.get(self._path, {}, about=self._about)).body)
        return ForgeRepository(name=body["full_name"], default_branch=body["default_branch"])

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        # The API filters by base only, newest first. What we look for is one that we may just have opened,
        # so a bounded look back is enough.
        for page in range(1, _PAGES + 1):
            query = {"state": "all", "base_branch": base, "limit": _PAGE, "page": page}
            answer = await self._rest.get(f"{self._path}/pulls", query, about=self._about)
            rows = [_read(row) for row in cast(list[Any], answer.body)]
            for row in rows:
                if (row.head, row.base, row.head_id) == (head, base, head_id):
                    return row
            if not rows:
                return None
        return None

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        draft = {"head": head, "base": base, "title": title, "body": body}
        answer = await self._rest.post(f"{self._path}/pulls", draft, about=self._about)
        if answer.status == 409:
            there = await self._rest.get(f"{self._path}/pulls/{base}/{head}", {}, about=self._about)
            found = _read(cast(Any, there.body))
            if found.state == "open":
                return found
        if answer.status >= 400:
            raise refused(self._about, answer)
        return _read(cast(Any, answer.body))


def _read(row: Any) -> PullRequest:
    return PullRequest(
        number=row["number"],
        url=row["html_url"],
        head=row["head"]["ref"],
        base=row["base"]["ref"],
        head_id=row["head"]["sha"],
        state="merged" if row["merged"] else row["state"],
    )
