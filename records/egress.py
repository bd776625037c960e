"""What boxes did at the proxy: each denial is an event and an audit row, each possible change an audit row.

The rows stand in the receipt of the run, under the kind `egress`; what only read leaves none.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select

from protocol.event import EgressDenied
from protocol.ids import BoxId, RunId
from protocol.noun import JSONObject, rfc3339
from records.receipt_tables import receipts
from records.tables import boxes
from records.tx import Tx

_ALIVE = ("making", "active")


def denied(run_id: RunId, box_id: BoxId, told: EgressDenied, key: str) -> Callable[[Tx], None]:
    def unit(tx: Tx) -> None:
        if tx.append(run_id, told, key=f"egress:{box_id}:{key}") is not None:
            body = told.model_dump(mode="json", include={"rule", "host", "port", "method"})
            payload = told.model_dump(mode="json", include={"path", "reason"}, exclude_none=True)
            tx.attest(run_id, "egress", {"box_id": box_id, "use": "denied", **body}, payload)

    return unit


def used(
    run_id: RunId,
    box_id: BoxId,
    use: Literal["request", "tunnel", "closed"],
    method: str,
    host: str,
    port: int,
) -> Callable[[Tx], bool]:
    def unit(tx: Tx) -> bool:
        """False where the box has no way out any more."""
        if tx.ended(run_id) or not alive(tx.connection, [box_id]):
            return False
        body: JSONObject = {"box_id": box_id, "use": use, "method": method, "host": host, "port": port}
        tx.attest(run_id, "egress", body)
        return True

    return unit


def alive(connection: Connection, ids: Collection[BoxId]) -> dict[BoxId, RunId]:
    """Those of the boxes that their runs still have, or are being given."""
    query = select(boxes.c.id, boxes.c.run_id).where(boxes.c.id.in_(ids), boxes.c.state.in_(_ALIVE))
    return {row.id: row.run_id for row in connection.execute(query)}


def may_have_changed(connection: Connection, run_id: RunId, box_id: BoxId, since: datetime) -> bool:
    """Whether the proxy saw more than reading from a box since then: a request, or a tunnel that was not
    closed before."""
    query = select(receipts.c.record).where(receipts.c.run_id == run_id, receipts.c.kind == "egress")
    began, still_open = rfc3339(since), 0
    for (text,) in connection.execute(query.order_by(receipts.c.ordinal)):
        record = json.loads(text)
        body = record["body"]
        if body["box_id"] != box_id or body["use"] == "denied":
            continue
        if record["at"] >= began and body["use"] != "closed":
            return True
        if record["at"] < began:
            still_open += {"tunnel": 1, "closed": -1}.get(body["use"], 0)
    return still_open > 0
