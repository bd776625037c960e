"""Gitea's pull requests (API v1; Forgejo speaks the same)."""

from collections.abc import AsyncGenerator

from protocol.forge import ForgeRepository, PullRequest
from targets.forge.rest import PullRow, RepositoryRow, Rest, each_row

_PAGE = 50
_PAGES = 10


class Gitea:
    """One repository on a Gitea."""

    def __init__(self, rest: Rest, owner: str, repository: str) -> None:
        self._rest = rest
        self._path = f"/repos/{owner}/{repository}"
        self._about = f"{owner}/{repository}"

    async def repository(self) -> ForgeRepository:
        row = (await self._rest.get(self._path, {}, about=self._about)).read(RepositoryRow)
        return ForgeRepository(name=row.full_name, default_branch=row.default_branch)

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        # What is looked for is one that we may just have opened: a bounded look back is enough.
        rows = self._newest_first(head, base, "all", pages=_PAGES)
        return await anext((row async for row in rows if row.head_id == head_id), None)

    async def pull_requests(self, head: str, base: str) -> tuple[PullRequest, ...]:
        return tuple([row async for row in self._newest_first(head, base, "all")])

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        draft = {"head": head, "base": base, "title": title, "body": body}
        answer = await self._rest.post(f"{self._path}/pulls", draft, about=self._about)
        if answer.status == 409:
            there = await anext(self._newest_first(head, base, "open", pages=_PAGES), None)
            if there is not None:
                return there
        return _noun(answer.read(PullRow))

    async def _newest_first(
        self, head: str, base: str, state: str, *, pages: int | None = None
    ) -> AsyncGenerator[PullRequest]:
        """The API filters by base, not by head."""

        async def page_of(page: int) -> list[PullRow]:
            query = {"state": state, "base_branch": base, "limit": _PAGE, "page": page}
            return (await self._rest.get(f"{self._path}/pulls", query, about=self._about)).read(list[PullRow])

        async for row in each_row(page_of, pages=pages):
            ours = row.head.repo_id == row.base.repo_id
            if ours and (row.head.label, row.base.label) == (head, base):
                yield _noun(row)


def _noun(row: PullRow) -> PullRequest:
    # `ref` becomes another name when the branch is gone; `label` stays the branch.
    return PullRequest(
        number=row.number,
        url=row.html_url,
        head=row.head.label,
        base=row.base.label,
        head_id=row.head.sha,
        state="merged" if row.merged_at else row.state,
    )
