"""A process that appends to a run's log, as a worker would; it tells what was acknowledged.

It takes its orders as one JSON argument: url, blobs, hints, run_id, name, events, hold_s, lanes. It says
`ready`, waits for a line, and then says the seq of each of its events as soon as that is committed.
"""

import asyncio
import json
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from protocol.event import ResponseDelta
from protocol.ids import CallId, RunId
from records.bus import bus_for
from records.database import Database
from records.tx import Tx
from records.writer import Writer


async def main(order: dict[str, Any]) -> None:
    database = Database.open(order["url"], Path(order["blobs"]), patience_s=60)
    hints = bus_for(order["url"], Path(order["hints"]))
    await hints.start()
    writer = Writer(database, hints)
    run_id = RunId(order["run_id"])
    await writer.commit(lambda tx: None)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

    def append(tx: Tx, number: int) -> int | None:
        if number == order["events"] // 2:
            threading.Event().wait(order["hold_s"])  # the transaction, and its locks, stay open
        text = f"{order['name']}:{number}"
        return tx.append(run_id, ResponseDelta(call_id=CallId("call_1"), attempt=1, block=0, delta=text))

    async def lane(numbers: range) -> None:
        for number in numbers:
            seq = await writer.commit(partial(append, number=number), runs=[run_id])
            print(f"{number} {seq}", flush=True)

    lanes = order["lanes"]
    await asyncio.gather(*(lane(range(first, order["events"], lanes)) for first in range(lanes)))
    writer.close()
    await hints.close()
    database.close()


asyncio.run(main(json.loads(sys.argv[1])))
