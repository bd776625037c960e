"""Sessions, their heads and timelines, and who may see them."""

import asyncio

from protocol.block import Block, ResponseBlock, TextPart, ToolResultBlock
from protocol.ids import BlockId, SessionId, fresh
from protocol.run import LimitsPatch
from protocol.session import SessionDefaults, SessionPatch, SessionRequest
from records import blocks, sessions, timeline
from records.bodies import INLINE_LIMIT
from records.paging import PageRequest
from records.run_end import RunOutcome, end
from records.sessions import ExternalIdTaken, SessionCreated
from tests.records.world import World

DONE = RunOutcome(status="completed", stop_reason="end_turn")


def response(world: World, text: str) -> ResponseBlock:
    at = "2026-01-02T03:04:05.678Z"
    return ResponseBlock.model_validate(
        {
            "id": fresh("blk_"),
            "session_id": world.session_id,
            "created_at": at,
            "content": ({"type": "text", "text": text},),
        }
    )


async def head(world: World) -> list[Block]:
    return (await world.read(lambda connection: blocks.head(connection, world.session_id)))[1]


async def test_a_session_comes_back_as_it_was_made(world: World) -> None:
    request = SessionRequest(
        external_session_id="ticket-42",
        actor_id="ann\u0000",
        instructions="Be brief \u2603",
        defaults=SessionDefaults(model="local/m1", limits=LimitsPatch(max_turns=3)),
        metadata={"a": "b"},
    )
    new = SessionId(fresh("sess_"))
    made = await world.commit(lambda tx: sessions.create(tx, world.tenant, new, request))
    assert isinstance(made, SessionCreated)
    for name in (new, "ticket-42"):
        assert await world.read(lambda c, name=name: sessions.get(c, world.tenant, name)) == made.session
    fields = {field: getattr(made.session, field) for field in SessionRequest.model_fields}
    assert SessionRequest(**fields) == request
    assert made.session.created_at == made.session.updated_at


async def test_an_external_id_names_one_session_of_a_project(world: World) -> None:
    request = SessionRequest(external_session_id="mine")
    ids = [SessionId(fresh("sess_")) for _ in range(10)]
    made = await asyncio.gather(
        *(world.commit(lambda tx, new=new: sessions.create(tx, world.tenant, new, request)) for new in ids)
    )
    first = [one for one in made if isinstance(one, SessionCreated)]
    assert len(first) == 1
    taken = {one.session.id for one in made if isinstance(one, ExternalIdTaken)}
    assert taken == {first[0].session.id}
    foreign = world.tenant.model_copy(update={"project_id": "proj_other"})
    assert await world.read(lambda c: sessions.get(c, foreign, "mine")) is None
    other = await world.commit(lambda tx: sessions.create(tx, foreign, SessionId(fresh("sess_")), request))
    assert isinstance(other, SessionCreated)


async def test_a_patch_replaces_what_it_names_and_leaves_the_rest(world: World) -> None:
    session_id = await world.session(actor_id="ann", metadata={"a": "b", "c": "d"})
    patch = SessionPatch(metadata={"a": "x"})
    changed = await world.commit(lambda tx: sessions.patch(tx, world.tenant, session_id, patch))
    assert changed is not None
    assert (changed.metadata, changed.actor_id) == ({"a": "x"}, "ann")
    emptied = await world.commit(
        lambda tx: sessions.patch(tx, world.tenant, session_id, SessionPatch(actor_id=None, defaults=None))
    )
    assert emptied is not None
    assert (emptied.actor_id, emptied.defaults) == (None, SessionDefaults())
    told = await world.commit(lambda tx: sessions.set_instructions(tx, world.tenant, session_id, "new"))
    assert told is not None
    assert told.instructions == "new"
    foreign = world.tenant.model_copy(update={"org_id": "org_other"})
    assert await world.commit(lambda tx: sessions.patch(tx, foreign, session_id, patch)) is None


async def test_the_head_is_what_was_entered_and_not_dropped(world: World) -> None:
    one, two, sent, four = (response(world, text) for text in ("one", "two", "sent", "four"))
    await world.commit(lambda tx: blocks.add(tx, world.session_id, [one, two]))
    await world.commit(lambda tx: blocks.add(tx, world.session_id, [sent], entered=False))
    await world.commit(lambda tx: blocks.add(tx, world.session_id, [four, one]))
    assert await head(world) == [one, two, four]
    for _ in range(2):
        await world.commit(lambda tx: blocks.enter(tx, world.session_id, [sent.id]))
    assert await head(world) == [one, two, four, sent]
    await world.commit(lambda tx: blocks.drop(tx, [two.id]))
    assert await head(world) == [one, four, sent]
    ids = [sent.id, BlockId("blk_none"), two.id]
    assert await world.read(lambda connection: blocks.by_ids(connection, ids)) == [sent, two]
    end_at, new = await world.read(lambda c: blocks.head_after(c, world.session_id, 3))
    assert (end_at, new) == (4, [sent])


async def test_a_long_block_lies_in_the_blob_store_and_comes_back_whole(world: World) -> None:
    long = response(world, "\u2603" * INLINE_LIMIT)
    short = response(world, "x" * (INLINE_LIMIT // 2))
    await world.commit(lambda tx: blocks.add(tx, world.session_id, [long, short]))
    assert await head(world) == [long, short]


async def test_the_timeline_has_everything_in_order_page_by_page(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    checkpoint = await world.checkpoint(run_id, execution)
    answer = ToolResultBlock(
        id=BlockId(fresh("blk_")),
        session_id=world.session_id,
        run_id=run_id,
        tool_call_id="c1",
        created_at=(await world.record(run_id)).run.created_at,
        content=(TextPart(text="ok"),),
    )
    await world.commit(lambda tx: blocks.add(tx, world.session_id, [answer]))
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)

    async def pages(order: str, limit: int) -> list[timeline.Entry]:
        found: list[timeline.Entry] = []
        cursor: str | None = None
        while True:
            request = PageRequest.model_validate({"order": order, "limit": limit, "cursor": cursor})
            page = await world.read(lambda c, r=request: timeline.page(c, world.session_id, r))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    whole = await pages("asc", 200)
    kinds = [entry.kind for entry in whole]
    assert kinds[:2] == ["run", "block"]
    assert sorted(kinds) == ["block", "block", "checkpoint", "run", "tool_execution"]
    assert [entry.id for entry in await pages("asc", 1)] == [entry.id for entry in whole]
    assert [entry.id for entry in await pages("desc", 2)] == [entry.id for entry in whole[::-1]]
    assert {entry.run_id for entry in whole} == {run_id}
    by_kind = {entry.kind: entry.object for entry in whole}
    assert by_kind["checkpoint"].id == checkpoint.id
    assert by_kind["run"] == (await world.record(run_id)).run
