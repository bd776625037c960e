"""The part of a forge that is not git: its REST API."""

import json
from collections.abc import Callable, Mapping
from typing import Protocol

import httpx2

from protocol.errors import Fault, InvalidRequest, RateLimited, Unavailable
from protocol.forge import ForgeRepository, PullRequest
from protocol.noun import JSON
from targets.forge.faults import REMOTE, status_fault
from targets.forge.git import scrubbed

_SECONDS = 30.0
_ANSWER_CAP = 16 * 1024 * 1024


class ForgeApi(Protocol):
    """Pull requests of one repository on one forge."""

    async def repository(self) -> ForgeRepository: ...

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        """The newest one, open or not, from branch `head` at `head_id` into `base`."""
        ...

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Open one; where one is open already between these branches, that one."""
        ...


class Answer:
    """A status and a JSON body."""

    def __init__(self, status: int, body: JSON, text: str) -> None:
        self.status = status
        self.body = body
        self.text = text


class Rest:
    """Speaks JSON with one API address; the token goes to that address and nowhere else."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url = url
        self._token = token

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
        headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        # Neither proxies nor .netrc files of the machine, and never a redirect: the token stays here.
        async with httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=_SECONDS) as client:
            request = client.build_request(
                method, f"{self._url}{path}", params=query, json=body, headers=headers
            )
            try:
                response = await client.send(request, stream=True)
                raw = await _capped(response)
            except httpx2.HTTPError as error:
                words = scrubbed(f"{type(error).__name__}: {error}", (token,))
                raise Unavailable("git.forge_unavailable", f"{about}: {words}", param=REMOTE) from None
        text = scrubbed(raw.decode(errors="replace"), (token,))
        if response.is_success or (method == "POST" and response.status_code in (409, 422)):
            return Answer(response.status_code, _parsed(text, about), text)
        raise _fault(response, about)


async def _capped(response: httpx2.Response) -> bytes:
    kept = bytearray()
    async for piece in response.aiter_bytes():
        kept += piece
        if len(kept) > _ANSWER_CAP:
            raise Unavailable("git.forge_unavailable", f"an answer of more than {_ANSWER_CAP} bytes")
    return bytes(kept)


def _parsed(text: str, about: str) -> JSON:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Unavailable(
            "git.forge_unavailable", f"{about}: the answer is not JSON", param=REMOTE
        ) from error


def _fault(response: httpx2.Response, about: str) -> Fault:
    hint = response.headers.get("retry-after", "")
    retry_after = float(hint) if hint.isdigit() else None
    # GitHub says 403 for both; only one of them passes.
    exhausted = response.headers.get("x-ratelimit-remaining") == "0"
    if response.status_code == 403 and (retry_after is not None or exhausted):
        return RateLimited("git.rate_limited", f"{about}: too many requests", retry_after=retry_after)
    return status_fault(
        response.status_code, about, "git.forge_unavailable", "git.forge_refused", retry_after
    )


def refused(about: str, answer: Answer) -> InvalidRequest:
    return InvalidRequest("git.forge_refused", f"{about}: {answer.status} {answer.text[:500]}")
