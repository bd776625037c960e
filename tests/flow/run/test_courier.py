"""A worker tells webhooks by itself what its runs come to."""

from pathlib import Path

import pytest

from protocol.webhook import Delivery
from records import webhooks
from records.keys import pepper_in
from records.seal import Seal
from tests.flow.gateway.test_webhooks import listening
from tests.stack import Stack
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = '[[scenarios]]\nturns = [{ text = "hello" }]\n'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def test_a_run_is_told_from_its_beginning_to_its_end(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    async with listening() as receiver:
        table = f'[webhook_delivery]\nallow_private = ["{receiver.place}"]\n'
        async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT, hooks=table) as stack:
            url = f"http://{receiver.place}/"
            secret = webhooks.new_secret(Seal(pepper_in(stack.data)), stack.tenant, "team", SECRET)
            await stack.writer.commit(
                lambda tx: webhooks.put(tx, stack.tenant, "team", url, ("run.*",), secret)
            )
            await stack.start_worker()
            run = await stack.create("go")
            told = await stack.ended(run)

            async def delivered() -> list[Delivery]:
                found = await stack.read(lambda connection: webhooks.of_run(connection, run))
                return found if all(one.state == "delivered" for one in found) else []

            found: list[Delivery] = []
            with stack.hints.subscribe(("events", run)) as grown:
                for _ in range(60):
                    found = found or await delivered()
                    if found:
                        break
                    await grown.wait(grown.number, 0.5)
            wanted = [(event["type"], event["seq"]) for event in told if event["type"].startswith("run.")]
            assert [(one.type, one.seq) for one in found] == wanted
            heard = {one.headers["webhook-id"] for one in receiver.heard}
            assert heard == {one.id for one in found}
