"""Searches: the public services in the shapes of their documentation, and a folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import Refused
from providers.web.folder import FolderSearch
from providers.web.search import Found, ServiceSearch
from tests.unit.providers.loopback import Backend

JSON = (("content-type", "application/json"),)
HIT = Found("Rhone", "https://example.org/rhone", "A river.")
HITS = [{"title": "Rhone", "url": "https://example.org/rhone"}]

ANSWERS: dict[str, Any] = {
    "tavily": {"query": "river", "results": [{**HITS[0], "content": "A river.", "score": 0.9}]},
    "exa": {"requestId": "x", "results": [{**HITS[0], "id": "x", "text": "A river.", "score": 0.2}]},
    "firecrawl": {"success": True, "data": {"web": [{**HITS[0], "description": "A river.", "position": 1}]}},
}
ASKED = {
    "tavily": ("authorization", "Bearer k-1", {"query": "river", "max_results": 3, "search_depth": "basic"}),
    "exa": (
        "x-api-key",
        "k-1",
        {"query": "river", "numResults": 3, "contents": {"text": {"maxCharacters": 1000}}},
    ),
    "firecrawl": ("authorization", "Bearer k-1", {"query": "river", "limit": 3}),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_service_is_asked_and_read_as_it_is_documented(backend: Backend, name: str) -> None:
    backend.answer(json.dumps(ANSWERS[name]).encode(), headers=JSON, end="whole")
    search = ServiceSearch(name, lambda: "k-1", url=backend.url)
    assert await search.search("river", 3) == [HIT]
    header, value, body = ASKED[name]
    [asked] = backend.asked
    assert (asked.path, asked.headers[header], asked.body) == ("/v1/search", value, body)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(("status", "body"), [("401 No", b"{}"), ("200 OK", b"[]"), ("200 OK", b"<html>")])
async def test_what_is_no_answer_is_refused_without_the_key(
    backend: Backend, name: str, status: str, body: bytes
) -> None:
    backend.answer(body, status=status, headers=JSON, end="whole")
    with pytest.raises(Refused, match="the search service") as caught:
        await ServiceSearch(name, lambda: "k-1", url=backend.url).search("river", 3)
    assert caught.value.code == "search.failed"
    assert "k-1" not in caught.value.message


async def test_a_service_that_is_away_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        await ServiceSearch("exa", lambda: "k", url="http://127.0.0.1:1").search("river", 1)
    assert caught.value.code == "search.unreachable"


async def test_a_folder_is_searched_by_words_best_first(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("the river outside")
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "rhone.md").write_text("The river Rhone flows to the sea.")
    (folder / "deep" / "boats.txt").write_text("Boats on a river.")
    (folder / ".hidden" / "x.md").write_text("river")
    (folder / "river.bin").write_bytes(b"river")
    (folder / "link.md").symlink_to(outside)
    found = await FolderSearch(folder).search("Rhone river", 5)
    assert [hit.place for hit in found] == ["rhone.md", "deep/boats.txt"]
    assert found[0] == Found("rhone", "rhone.md", "The river Rhone flows to the sea.")
    assert await FolderSearch(folder).search("mountain", 5) == []
    with pytest.raises(Refused, match="not there"):
        await FolderSearch(tmp_path / "gone").search("x", 5)
