"""What every keeper of memory does. A class of tests: subclass it and give it the fixture `store`."""

import asyncio

import pytest

from protocol.ids import OrgId, PrincipalId, ProjectId, RunId, ToolExecutionId
from protocol.memory import (
    Absent,
    Forgotten,
    MemoryDraft,
    MemoryPlace,
    MemoryScope,
    MemoryStore,
    Provenance,
    Removal,
    Stale,
    Written,
)
from protocol.principal import Tenant

MODEL = Provenance(
    principal_id=PrincipalId("prin_ann"),
    run_id=RunId("run_1"),
    tool_execution_id=ToolExecutionId("tool_1"),
)
ANN = Provenance(principal_id=PrincipalId("prin_ann"))


def place(scope: MemoryScope = "project", owner: str = "", project: str = "proj_1") -> MemoryPlace:
    tenant = Tenant(org_id=OrgId("org_1"), project_id=ProjectId(project))
    return MemoryPlace(tenant=tenant, scope=scope, owner=owner)


def draft(key: str, text: str, **fields: object) -> MemoryDraft:
    return MemoryDraft.model_validate({"key": key, "text": text, "provenance": ANN, **fields})


async def written(store: MemoryStore, key: str, text: str, where: MemoryPlace | None = None) -> Written:
    done = await store.write(where or place(), draft(key, text))
    assert isinstance(done, Written)
    return done


async def listed(store: MemoryStore, query: str, limit: int = 10) -> list[str]:
    """The keys on the first page."""
    return [one.key for one in (await store.search(place(), query, limit)).records]


class MemorySuite:
    """Versions, provenance, expiry, search, isolation, tombstones, and effects that happen once."""

    async def test_what_is_written_is_read_with_its_provenance_and_labels(self, store: MemoryStore) -> None:
        new = draft("deploy/how", "Run make ship.\n\0 naïve", labels=("untrusted",), provenance=MODEL)
        done = await store.write(place(), new)
        assert isinstance(done, Written)
        assert (done.repeated, done.record.version, done.record.scope) == (False, 1, "project")
        found = await store.read(place(), "deploy/how")
        assert found == done.record
        assert found is not None
        assert (found.text, found.labels, found.provenance) == (new.text, ("untrusted",), MODEL)
        assert await store.read(place(), "deploy/what") is None

    async def test_a_version_is_replaced_only_by_whoever_knows_it(self, store: MemoryStore) -> None:
        assert await store.write(place(), draft("k", "one", expected=1)) == Stale(version=0)
        await written(store, "k", "one")
        assert await store.write(place(), draft("k", "two", expected=0)) == Stale(version=1)
        second = await store.write(place(), draft("k", "two", expected=1))
        assert isinstance(second, Written)
        assert second.record.version == 2
        assert await store.write(place(), draft("k", "three", expected=1)) == Stale(version=2)
        assert (await written(store, "k", "four")).record.version == 3

    async def test_of_many_who_replace_one_version_one_does(self, store: MemoryStore) -> None:
        await written(store, "k", "zero")
        tries = [store.write(place(), draft("k", f"try {n}", expected=1)) for n in range(8)]
        done = [one for one in await asyncio.gather(*tries) if isinstance(one, Written)]
        assert len(done) == 1
        found = await store.read(place(), "k")
        assert found == done[0].record

    async def test_under_one_effect_key_it_happens_once(self, store: MemoryStore) -> None:
        new = draft("k", "one", effect_key="tool_1")
        first = await store.write(place(), new)
        again = await store.write(place(), new)
        assert isinstance(first, Written)
        assert again == Written(record=first.record, repeated=True)
        await written(store, "k", "two")
        assert await store.write(place(), new) == Stale(version=1)
        removal = Removal(key="k", provenance=ANN, effect_key="tool_2")
        gone = await store.delete(place(), removal)
        assert gone == Forgotten(version=3)
        await written(store, "k", "three")
        assert await store.delete(place(), removal) == gone
        assert (await store.read(place(), "k")) is not None

    async def test_what_is_forgotten_leaves_a_tombstone_and_nothing_to_find(self, store: MemoryStore) -> None:
        await written(store, "k", "a secret word")
        assert await store.delete(place(), Removal(key="k", provenance=ANN, expected=2)) == Stale(version=1)
        removal = Removal(key="k", provenance=ANN, expected=1)
        assert await store.delete(place(), removal) == Forgotten(version=2)
        assert await store.read(place(), "k") is None
        assert await listed(store, "secret") == []
        assert await listed(store, "") == []
        assert await store.delete(place(), Removal(key="k", provenance=ANN)) == Absent()
        assert await store.write(place(), draft("k", "anew", expected=2)) == Stale(version=0)
        anew = await store.write(place(), draft("k", "anew", expected=0))
        assert isinstance(anew, Written)
        assert anew.record.version == 3

    async def test_words_find_records_best_first(self, store: MemoryStore) -> None:
        await written(store, "rivers/rhone", "The Rhone flows to the sea. Rhone, Rhone!")
        await written(store, "rivers/arve", "The Arve flows into the Rhone.")
        await written(store, "food", "Crème brûlée, 食べ物")
        assert await listed(store, "RHONE") == ["rivers/rhone", "rivers/arve"]
        assert await listed(store, "brûl") == ["food"]
        assert await listed(store, "食べ物") == ["food"]
        assert await listed(store, "arve nothing") == ["rivers/arve"]
        assert await listed(store, "mountain") == []
        assert await listed(store, "", 2) == ["food", "rivers/arve"]
        await written(store, "food", "Bread")
        assert await listed(store, "brûlée") == []

    @pytest.mark.parametrize("query", ["", "river"])
    async def test_a_list_is_read_in_pages_to_its_end(self, store: MemoryStore, query: str) -> None:
        for number in range(5):
            await written(store, f"k{number}", "river " * (number + 1))
        whole = await listed(store, query)
        pages: list[list[str]] = []
        cursor: str | None = None
        while cursor is not None or not pages:
            page = await store.search(place(), query, 2, cursor)
            pages.append([one.key for one in page.records])
            cursor = page.next_cursor
        assert [len(page) for page in pages] == [2, 2, 1]
        assert [key for page in pages for key in page] == whole
        assert sorted(whole) == [f"k{number}" for number in range(5)]

    @pytest.mark.parametrize("query", ['"', "' OR 1=1 --", "a AND (", "NEAR(", "x:*", "!", "\0", "*" * 500])
    async def test_no_query_is_a_fault(self, store: MemoryStore, query: str) -> None:
        await written(store, "k", "text")
        await store.search(place(), query, 10)

    async def test_nobody_sees_another_place(self, store: MemoryStore) -> None:
        places = (
            *(place(), place("user", "principal:ann"), place("user", "principal:bob")),
            *(place("session", "sess_1"), place(project="proj_2")),
        )
        for number, where in enumerate(places):
            await written(store, "k", f"text of {number}", where)
        for number, where in enumerate(places):
            seen = await store.search(where, "text", 10)
            assert [one.text for one in seen.records] == [f"text of {number}"]
        assert await store.delete(places[0], Removal(key="k", provenance=ANN)) == Forgotten(version=2)
        assert await store.read(places[4], "k") is not None

    async def test_what_has_expired_is_not_there(self, store: MemoryStore) -> None:
        await store.write(place(), draft("k", "short", expires_in_s=1))
        there = await store.read(place(), "k")
        assert there is not None
        assert there.expires_at is not None

        async def gone() -> bool:
            return await store.read(place(), "k") is None

        async with asyncio.timeout(60):
            while not await gone():
                await asyncio.sleep(0.05)
        assert await listed(store, "short") == []
        assert await store.delete(place(), Removal(key="k", provenance=ANN)) == Absent()
        anew = await store.write(place(), draft("k", "anew", expected=0))
        assert isinstance(anew, Written)
        assert anew.record.version == 2
