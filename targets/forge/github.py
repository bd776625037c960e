"""GitHub's pull requests, after its public documentation; it has not met the live service."""

from collections.abc import AsyncGenerator

from protocol.forge import ForgeRepository, PullRequest
from targets.forge.rest import PullRow, RepositoryRow, Rest, each_row

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}

_PAGE = 100


class GitHub:
    """One repository on GitHub or a GitHub Enterprise Server."""

    def __init__(self, rest: Rest, owner: str, repository: str) -> None:
        self._rest = rest
        self._owner = owner
        self._path = f"/repos/{owner}/{repository}"
        self._about = f"{owner}/{repository}"

    async def repository(self) -> ForgeRepository:
        row = (await self._rest.get(self._path, {}, about=self._about)).read(RepositoryRow)
        return ForgeRepository(name=row.full_name, default_branch=row.default_branch)

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        rows = self._newest_first(head, base, "all")
        return await anext((row async for row in rows if row.head_id == head_id), None)

    async def pull_requests(self, head: str, base: str) -> tuple[PullRequest, ...]:
        return tuple([row async for row in self._newest_first(head, base, "all")])

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        draft = {"head": head, "base": base, "title": title, "body": body}
        answer = await self._rest.post(f"{self._path}/pulls", draft, about=self._about)
        if answer.status == 422:
            # The same status says "already exists" and much else; which one, the list tells.
            there = await anext(self._newest_first(head, base, "open"), None)
            if there is not None:
                return there
        return _noun(answer.read(PullRow))

    async def _newest_first(self, head: str, base: str, state: str) -> AsyncGenerator[PullRequest]:
        """The head's owner keeps out the branches of forks that have the same name."""
        query = {"state": state, "head": f"{self._owner}:{head}", "base": base, "per_page": _PAGE}

        async def page_of(page: int) -> list[PullRow]:
            asked = {**query, "page": page}
            return (await self._rest.get(f"{self._path}/pulls", asked, about=self._about)).read(list[PullRow])

        async for row in each_row(page_of):
            yield _noun(row)


def _noun(row: PullRow) -> PullRequest:
    return PullRequest(
        number=row.number,
        url=row.html_url,
        head=row.head.ref,
        base=row.base.ref,
        head_id=row.head.sha,
        state="merged" if row.merged_at else row.state,
    )
