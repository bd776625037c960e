"""Receipts: one record a fact, in its own transaction; the database itself refuses to change one."""

from functools import partial
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from protocol.digest import canonical, digest_bytes
from protocol.effect import Claimed
from protocol.ids import RunId
from protocol.receipt import FIRST, payload_digest, seal_record
from records import effects
from records.receipt_checks import unmatched
from records.receipt_tables import receipt_payloads, receipts
from records.run_end import RunOutcome, end
from records.tables import effects as effect_table
from tests.records.test_effects import claim, intend
from tests.records.world import APPROVE, ENVELOPE, World

DONE = RunOutcome(status="completed", stop_reason="end_turn")


async def chain(world: World, run_id: RunId) -> list[dict[str, Any]]:
    """The run's records, each checked against its hash, its place and the one before it."""
    query = select(receipts).where(receipts.c.run_id == run_id).order_by(receipts.c.ordinal)
    rows = await world.read(lambda connection: list(connection.execute(query)))
    before = FIRST
    told: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=1):
        record = orjson.loads(row.record)
        parts = (record[name] for name in ("run_id", "ordinal", "prev", "kind", "at", "body"))
        assert seal_record(*parts, record.get("payload")) == (row.record, row.hash)
        assert canonical(record).decode() == row.record
        assert (record["ordinal"], record["prev"], record["run_id"]) == (number, before, run_id)
        before = row.hash
        told.append(record)
    return told


async def acted(world: World) -> RunId:
    """A run with an approved effect, from the question to its end."""
    run_id = await world.run()
    execution = await world.tool(run_id)
    asked = await world.checkpoint(run_id, execution)
    await intend(world, run_id, execution)
    await world.decide(asked.id, run_id, APPROVE)
    assert await claim(world, run_id, execution, asked.id) == Claimed(epoch=1)
    settle = partial(effects.settle, execution=execution, epoch=1, state="succeeded", result={"n": 1})
    assert await world.commit(settle, run_id)
    assert await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    return run_id


async def test_each_fact_of_an_approved_effect_appends_one_record(world: World) -> None:
    told = await chain(world, await acted(world))
    assert [(one["kind"], one["body"].get("status") or one["body"].get("state")) for one in told] == [
        ("checkpoint", "open"),
        ("decision", None),
        ("checkpoint", "approved"),
        ("checkpoint", "redeemed"),
        ("claim", None),
        ("outcome", "succeeded"),
        ("end", "completed"),
    ]
    shown = digest_bytes(b"send a mail to you")
    assert told[0]["body"]["rendered_digest"] == shown
    decision = told[1]["body"]
    assert (decision["by"], decision["auth_method"], decision["rendered_digest"]) == (
        "prin_ann",
        "api_key",
        shown,
    )
    assert decision["envelope_digest"] == told[4]["body"]["envelope_digest"] == ENVELOPE
    assert told[4]["body"]["approval"] == decision["checkpoint_id"]


async def test_a_payload_stands_in_its_record_as_a_salted_digest(world: World) -> None:
    run_id = await acted(world)
    told = await chain(world, run_id)
    query = select(receipt_payloads).where(receipt_payloads.c.run_id == run_id)
    kept = await world.read(lambda connection: list(connection.execute(query)))
    assert [row.ordinal for row in kept] == [2, 6]
    for row in kept:
        record = told[row.ordinal - 1]
        assert record["payload"] == payload_digest(row.salt, canonical(orjson.loads(row.value)))
    assert orjson.loads(kept[0].value) == {"by_name": "ann", "reason": "fine"}


async def test_a_claim_that_is_lost_leaves_no_record(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    await claim(world, run_id, execution)
    assert await chain(world, run_id) == []


async def test_a_late_outcome_is_still_told(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    await intend(world, run_id, execution)
    await claim(world, run_id, execution)
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    settle = partial(effects.settle, execution=execution, epoch=1, state="succeeded", result=None)
    assert await world.commit(settle, run_id)
    told = await chain(world, run_id)
    assert [(one["kind"], one["body"].get("state")) for one in told] == [
        ("claim", None),
        ("outcome", "unknown"),
        ("end", None),
        ("outcome", "succeeded"),
    ]


async def test_what_cannot_be_told_does_not_happen(world: World) -> None:
    """RCP-07: the table of receipts takes nothing more, and no effect is claimed and nothing decided."""
    run_id = await world.run()
    execution = await world.tool(run_id)
    asked = await world.checkpoint(run_id, execution)
    await intend(world, run_id, execution)
    before = len(await chain(world, run_id))
    with world.database.engine.connect() as connection:
        connection.exec_driver_sql(_FULL[connection.dialect.name])
    with pytest.raises(DBAPIError):
        await world.decide(asked.id, run_id, APPROVE)
    assert await world.status(asked.id) == "open"
    other = await world.tool(run_id, ordinal=1)
    await intend(world, run_id, other)
    with pytest.raises(DBAPIError):
        await claim(world, run_id, other)
    row = await world.read(lambda connection: effects.get(connection, other))
    assert row is not None
    assert (row.state, row.epoch) == ("intent", 0)
    assert len(await chain(world, run_id)) == before
    with world.database.engine.connect() as connection:
        connection.exec_driver_sql(_ROOM[connection.dialect.name])
    assert await claim(world, run_id, other) == Claimed(epoch=1)


async def test_receipts_and_ledger_are_matched_both_ways(world: World) -> None:
    """RCP-05: what either side has alone is found."""
    run_id = await acted(world)
    assert await world.read(unmatched) == []
    [row] = await world.read(lambda connection: effects.list_effects(connection, run_id))
    altered = update(effect_table).where(effect_table.c.run_id == run_id)
    await world.commit(lambda tx: tx.connection.execute(altered.values(epoch=2)) and None)
    [found] = await world.read(unmatched)
    assert found.tool_execution_id == row.tool_execution_id
    assert found.text == "its receipt says succeeded (claim 1), the ledger succeeded (claim 2)"
    await world.commit(lambda tx: tx.connection.execute(delete(effect_table)) and None)
    [found] = await world.read(unmatched)
    assert found.text == "its receipt says succeeded (claim 1), the ledger nothing (claim 0)"


_FULL = {
    "sqlite": "CREATE TRIGGER full BEFORE INSERT ON receipts BEGIN SELECT RAISE(ABORT, 'full'); END",
    "postgresql": "ALTER TABLE receipts ADD CONSTRAINT receipts_full CHECK (false) NOT VALID",
}
_ROOM = {
    "sqlite": "DROP TRIGGER full",
    "postgresql": "ALTER TABLE receipts DROP CONSTRAINT receipts_full",
}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE receipts SET record = '{}' WHERE ordinal = 1",
        "DELETE FROM receipts WHERE ordinal = 7",
        "UPDATE receipt_payloads SET value = '{}'",
        "UPDATE receipt_payloads SET salt = NULL, value = NULL, ordinal = 99",
        "DELETE FROM receipt_payloads",
    ],
)
async def test_the_database_refuses_to_change_a_receipt(world: World, statement: str) -> None:
    """RCP-06: not by any statement of the role that the processes have."""
    run_id = await acted(world)
    before = await chain(world, run_id)
    with world.database.engine.connect() as connection, pytest.raises(DBAPIError, match="never changed"):
        connection.execute(text(statement))
    assert await chain(world, run_id) == before
