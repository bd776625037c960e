"""Subruns as they are served: listed under their parent, and one queue for all that a tree asks."""

from protocol.ids import RunId, fresh
from protocol.run import Limits, RunRequest
from records import runs
from tests.flow.gateway.house import DIGEST, House, error_of


async def spawn(home: House, parent: RunId) -> RunId:
    """A run below another one, as a worker makes it."""
    child = RunId(fresh("run_"))
    above = await home.gateway.database.read(lambda c: runs.load(c, parent))
    assert above is not None
    new = runs.NewRun(
        id=child,
        tenant=above.tenant,
        principal_id=above.principal_id,
        session_id=above.run.session_id,
        request=RunRequest(input="a part of it", context="stateless"),
        model=above.run.model,
        limits=Limits(),
        blocks=(),
        parent_run_id=parent,
        ancestor_run_ids=(*above.run.ancestor_run_ids, parent),
    )
    await home.commit(lambda tx: runs.create(tx, new), parent)
    await home.commit(lambda tx: runs.claim(tx, child), child)
    return child


async def test_the_children_of_a_run_are_listed_and_name_their_ancestors(home: House) -> None:
    root = await home.start()
    one, two = await spawn(home, root), await spawn(home, root)
    deep = await spawn(home, two)
    query = {"parent_run_id": root, "order": "asc"}
    listed = (await home.client.get("/v1/runs", params=query)).json()["items"]
    assert [run["id"] for run in listed] == [one, two]
    shown = (await home.client.get(f"/v1/runs/{deep}")).json()
    assert (shown["parent_run_id"], shown["ancestor_run_ids"]) == (two, [root, two])
    answer = await home.client.get("/v1/runs", params={"parent_run_id": fresh("run_")})
    assert error_of(answer)[:2] == (404, "run.not_found")


async def test_what_is_asked_below_is_in_the_queue_of_the_root_and_decided_there(home: House) -> None:
    root = await home.start()
    child = await spawn(home, root)
    asked = await home.ask(child)
    other = await home.ask(await home.start())
    query = {"status": "open", "run_id": root}
    queue = (await home.client.get("/v1/checkpoints", params=query)).json()["items"]
    assert [one["id"] for one in queue] == [asked.id]
    assert asked.id != other.id
    verdict = {"decision": "approve", "envelope_digest": DIGEST}
    answer = await home.client.post(f"/v1/checkpoints/{asked.id}:decide", json=verdict)
    assert answer.json()["status"] == "approved"
    await home.gateway.wakes.settle()
    assert home.engine.woken == [child]
