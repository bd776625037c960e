"""The part of a forge that is not git: its REST API. Gitea took GitHub's shapes, so both are read here."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import cache
from itertools import count
from typing import Literal, Protocol, TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from protocol.errors import Fault, InvalidRequest, RateLimited, Unavailable
from protocol.forge import ForgeRepository, PullRequest
from protocol.noun import JSON
from targets.forge.faults import REMOTE, status_fault
from targets.forge.git import scrubbed

T = TypeVar("T")

_SECONDS = 30.0
_ANSWER_CAP = 16 * 1024 * 1024
_UNAVAILABLE = "git.forge_unavailable"
_REFUSED = "git.forge_refused"


class ForgeApi(Protocol):
    """Pull requests of one repository on one forge."""

    async def repository(self) -> ForgeRepository: ...

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        """The newest one, open or not, from branch `head` at `head_id` into `base`."""
        ...

    async def pull_requests(self, head: str, base: str) -> tuple[PullRequest, ...]:
        """Every one, open or not, from branch `head` into `base`, newest first."""
        ...

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Open one; where one is open already between these branches, that one."""
        ...


class SideRow(BaseModel):
    label: str
    ref: str
    sha: str
    repo_id: int = 0


class PullRow(BaseModel):
    number: int
    html_url: str
    state: Literal["open", "closed"]
    merged_at: str | None = None
    head: SideRow
    base: SideRow


async def each_row(
    page_of: Callable[[int], Awaitable[list[PullRow]]], *, pages: int | None = None
) -> AsyncGenerator[PullRow]:
    """The rows of a list, each once. A forge may give shorter pages than it was asked for, and a list may
    shift while it is read, so only a page with nothing new is the end."""
    seen: set[int] = set()
    for page in count(1) if pages is None else range(1, pages + 1):
        rows = [row for row in await page_of(page) if row.number not in seen]
        if not rows:
            return
        for row in rows:
            seen.add(row.number)
            yield row


class RepositoryRow(BaseModel):
    full_name: str
    default_branch: str


class Answer:
    """What the forge said to a request about a repository."""

    def __init__(self, about: str, status: int, text: str) -> None:
        self.status = status
        self._about = about
        self._text = text

    def read(self, kind: type[T]) -> T:
        """The answer as `kind`; Refused where the forge said no."""
        if self.status >= 400:
            raise InvalidRequest(_REFUSED, f"{self._about}: {self.status} {self._text[:500]}")
        try:
            return TypeAdapter(kind).validate_json(self._text)
        except ValidationError as error:
            message = f"{self._about}: the answer has not the shape of a forge's"
            raise Unavailable(_UNAVAILABLE, message, param=REMOTE) from error


class Rest:
    """Speaks JSON with one API address; the token goes to that address and nowhere else."""

    def __init__(self, url: str, token: Callable[[], str], headers: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._token = token
        self._headers = {"Accept": "application/json", **(headers or {})}

    async def get(self, path: str, query: Mapping[str, str | int], *, about: str) -> Answer:
        return await self._send("GET", path, about, query=query)

    async def post(self, path: str, body: Mapping[str, JSON], *, about: str) -> Answer:
        """A 409 or 422 comes back as an answer: a forge says with it that something is there already."""
        return await self._send("POST", path, about, body=body)

    async def _send(
        self,
        method: str,
        path: str,
        about: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, JSON] | None = None,
    ) -> Answer:
        token = self._token()
        headers = {**self._headers, "Authorization": f"token {token}"}
        # Neither proxies nor .netrc files of the machine, and never a redirect: the token stays here.
        verify = _authorities() if self._url.startswith("https:") else False
        async with httpx2.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=_SECONDS, verify=verify
        ) as client:
            request = client.build_request(
                method, f"{self._url}{path}", params=query, json=body, headers=headers
            )
            try:
                response = await client.send(request, stream=True)
                raw = await _capped(response, about)
            except httpx2.HTTPError as error:
                words = scrubbed(f"{type(error).__name__}: {error}", (token,))
                raise Unavailable(_UNAVAILABLE, f"{about}: {words}", param=REMOTE) from None
        if response.is_success or (method == "POST" and response.status_code in (409, 422)):
            text = scrubbed(raw.decode(errors="replace"), (token,))
            return Answer(about, response.status_code, text)
        raise _fault(response, about)


@cache
def _authorities() -> ssl.SSLContext:
    """Whom TLS believes, read once: reading it takes some 30 ms."""
    return httpx2.create_ssl_context(trust_env=False)


async def _capped(response: httpx2.Response, about: str) -> bytes:
    kept = bytearray()
    async for piece in response.aiter_bytes():
        kept += piece
        if len(kept) > _ANSWER_CAP:
            message = f"{about}: an answer of more than {_ANSWER_CAP} bytes"
            raise Unavailable(_UNAVAILABLE, message, param=REMOTE)
    return bytes(kept)


def _fault(response: httpx2.Response, about: str) -> Fault:
    hint = response.headers.get("retry-after", "")
    retry_after = float(hint) if hint.isdigit() else None
    status = response.status_code
    # GitHub says 403 for both; only one of them passes.
    exhausted = response.headers.get("x-ratelimit-remaining") == "0"
    if status == 403 and (retry_after is not None or exhausted):
        return RateLimited("git.rate_limited", f"{about}: too many requests", retry_after=retry_after)
    return status_fault(status, about, _UNAVAILABLE, _REFUSED, retry_after)
