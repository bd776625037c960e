"""Memory kept by the records, on both engines."""

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import select

from protocol.memory import MemoryStore, Removal
from records.database import Database
from records.memory import Memories
from records.memory_tables import memories
from records.writer import Writer
from tests.conformance.memory_suite import ANN, MemorySuite, place, written


class TestMemories(MemorySuite):
    @pytest.fixture
    async def store(self, database: Database, writer: Writer) -> AsyncGenerator[MemoryStore]:
        yield Memories(database, writer)

    async def test_old_versions_keep_who_wrote_them_and_lose_what(
        self, database: Database, writer: Writer
    ) -> None:
        store = Memories(database, writer)
        await written(store, "k", "one")
        await written(store, "k", "two")
        await store.delete(place(), Removal(key="k", provenance=ANN))
        kept = select(memories.c.version, memories.c.text, memories.c.words, memories.c.provenance)
        with database.engine.connect() as connection:
            rows = connection.execute(kept.order_by(memories.c.version)).all()
        assert [tuple(row) for row in rows] == [(n, None, None, ANN) for n in (1, 2, 3)]
