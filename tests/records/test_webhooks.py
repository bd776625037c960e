"""The outbox: kept with the event or not at all, claimed once, settled once."""

import asyncio

import pytest

from protocol.event import RunWaiting
from protocol.principal import Tenant
from protocol.secret import SecretRef
from protocol.webhook import Delivery, Webhook, WebhookEntry
from records import projects, webhooks
from records.database import Database
from records.hints import SOME_RUN, Hints
from records.paging import PageRequest
from records.run_end import RunOutcome, end
from records.seal import Seal
from records.tx import Tx
from records.webhooks import Due, Tried
from records.writer import Writer
from tests.records.world import APPROVE, World

URL = "https://example.com/hook"
SECRET = "whsec_" + "A" * 32
SEAL = Seal(b"pepper")
REF = SecretRef(kind="env", name="HOOK")


async def hook(world: World, *patterns: str, name: str = "team", tenant: Tenant | None = None) -> Webhook:
    of = tenant or world.tenant
    secret = webhooks.new_secret(SEAL, of, name, SECRET)
    return await world.commit(lambda tx: webhooks.put(tx, of, name, URL, patterns, secret))


async def outbox(world: World, name: str = "team") -> list[Delivery]:
    asked = PageRequest(order="asc", limit=200)
    return (await world.read(lambda c: webhooks.list_deliveries(c, world.tenant, name, asked))).items


async def take(world: World, lease_s: float = 60) -> list[Due]:
    return await world.commit(lambda tx: webhooks.take(tx, 100, lease_s))


async def test_each_event_that_a_hook_wants_is_kept_with_it(world: World) -> None:
    await hook(world, "checkpoint.*", "run.completed")
    await hook(world, "run.*", name="other")
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    await world.decide(one.id, run_id, APPROVE)
    done = RunOutcome(status="completed", stop_reason="end_turn")
    await world.commit(lambda tx: end(tx, run_id, done), run_id)
    log = {event["type"]: event["seq"] for event in await world.log(run_id)}
    kept = await outbox(world)
    assert {entry.type: entry.seq for entry in kept} == {
        name: log[name]
        for name in ("checkpoint.opened", "checkpoint.decided", "checkpoint.revoked", "run.completed")
    }
    assert {entry.type for entry in await outbox(world, "other")} == {
        name for name in log if name.startswith("run.")
    }
    assert len({entry.id for entry in kept}) == len(kept)


async def test_couriers_and_notaries_are_woken_by_what_is_theirs(world: World, hints: Hints) -> None:
    run_id = await world.run()
    done = RunOutcome(status="completed", stop_reason="end_turn")
    with hints.subscribe(("outbox", SOME_RUN)) as told, hints.subscribe(("unsealed", SOME_RUN)) as ended:
        await world.commit(lambda tx: end(tx, run_id, done), run_id)
        assert await ended.wait(0, 30)
        assert told.number == 0
        await hook(world, "run.created")
        await world.run()
        assert await told.wait(0, 30)


async def test_what_is_not_committed_is_not_told(world: World) -> None:
    await hook(world, "run.*")
    run_id = await world.run()
    before = await outbox(world)

    def unit(tx: Tx) -> None:
        tx.append(run_id, RunWaiting(checkpoint_ids=()))
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await world.commit(unit, run_id)
    assert await outbox(world) == before


async def test_a_hook_hears_of_its_own_project_only(world: World) -> None:
    project = await world.commit(lambda tx: projects.create(tx, world.tenant.org_id, "other"))
    stranger = Tenant(org_id=world.tenant.org_id, project_id=project.id)
    await hook(world, "run.*", "checkpoint.*", tenant=stranger)
    await world.checkpoint(await world.run())
    assert await take(world) == []
    assert await world.read(lambda c: webhooks.get(c, world.tenant, "team")) is None


async def test_of_two_couriers_one_gets_a_delivery(world: World, database: Database, hints: Hints) -> None:
    await hook(world, "run.created")
    for run_id in await world.several_runs(10):
        assert run_id
    other = Writer(database, hints)
    units = [writer.commit(lambda tx: webhooks.take(tx, 3, 60)) for writer in (world.writer, other) * 6]
    taken = [due.id for some in await asyncio.gather(*units) for due in some]
    assert sorted(taken) == sorted({entry.id for entry in await outbox(world)})
    assert len(taken) == 10
    other.close()


async def test_a_delivery_whose_courier_died_is_due_again_under_its_own_id(world: World) -> None:
    await hook(world, "run.created")
    await world.run()
    [first] = await take(world, lease_s=0)
    [second] = await take(world)
    assert (first.id, first.attempts, second.id, second.attempts) == (first.id, 1, first.id, 2)
    assert not await world.commit(lambda tx: webhooks.settle(tx, first, Tried(status=200)))
    assert await world.commit(lambda tx: webhooks.settle(tx, second, Tried(status=200)))
    [entry] = await outbox(world)
    assert (entry.state, entry.attempts, entry.last_status, entry.next_attempt_at) == (
        "delivered",
        2,
        200,
        None,
    )
    assert entry.delivered_at is not None


async def test_what_was_tried_for_the_last_time_is_given_up(world: World) -> None:
    await hook(world, "run.created")
    await world.run()
    due = (await take(world))[0]
    await world.commit(lambda tx: webhooks.settle(tx, due, Tried(status=500, error="HTTP 500", again_in_s=0)))
    due = (await take(world))[0]
    await world.commit(lambda tx: webhooks.settle(tx, due, Tried(status=500, error="HTTP 500")))
    [entry] = await outbox(world)
    assert (entry.state, entry.attempts, entry.last_error) == ("given_up", 2, "HTTP 500")
    assert await world.read(webhooks.due_in) > 0


async def test_a_removed_hook_takes_its_outbox_with_it(world: World) -> None:
    await hook(world, "run.*")
    await world.run()
    assert await world.commit(lambda tx: webhooks.remove(tx, world.tenant, "team"))
    assert await outbox(world) == []
    await hook(world, "checkpoint.*")
    assert await take(world) == []


async def test_a_secret_is_told_once(world: World) -> None:
    assert (await hook(world, "run.*")).secret == SECRET
    other = webhooks.new_secret(SEAL, world.tenant, "team", "whsec_other")
    again = await world.commit(
        lambda tx: webhooks.put(tx, world.tenant, "team", URL + "2", ("run.*",), other)
    )
    assert (again.secret, again.url) == (None, URL + "2")
    await world.run()
    due = (await take(world))[0]
    assert due.sealed is not None
    assert SECRET not in due.sealed
    assert webhooks.secret_of(SEAL, due) == SECRET
    for elsewhere in ({"webhook": "other"}, {"project_id": "proj_2"}, {"sealed": None}, {"sealed": SECRET}):
        assert webhooks.secret_of(SEAL, due.model_copy(update=elsewhere)) == ""
    assert webhooks.secret_of(Seal(b"another pepper"), due) == ""


async def test_declared_hooks_are_what_the_configuration_says_now(world: World) -> None:
    await hook(world, "run.*", name="own")
    entry = WebhookEntry(url=URL, events=("run.*",), secretRef=REF)
    lost = entry.model_copy(update={"project": "nowhere"})
    for _ in range(2):
        declared = {"team": entry, "lost": lost}
        assert await world.commit(lambda tx, d=declared: webhooks.declare(tx, d)) == ["lost"]
    team = await world.read(lambda c: webhooks.get(c, world.tenant, "team"))
    assert team is not None
    assert (team.declared, team.url) == (True, URL)
    await world.run()
    kept = {(webhooks.secret_of(SEAL, due), due.secret_ref) for due in await take(world)}
    assert kept == {("", REF), (SECRET, None)}
    await world.commit(lambda tx: webhooks.declare(tx, {}))
    page = await world.read(lambda c: webhooks.list_webhooks(c, world.tenant, PageRequest()))
    assert [found.name for found in page.items] == ["own"]
