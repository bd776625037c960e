"""What the policy was asked and what it said, as the receipts of runs keep it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from protocol.ids import RunId
from protocol.noun import JSONObject
from protocol.principal import Tenant
from records.receipt_tables import receipt_payloads, receipts
from records.tables import runs

FILTERS = ("id", "session_id", "status", "project_id")
_BATCH = 2_000


class Ruled(NamedTuple):
    """One verdict: `execution` is None where a snapshot was resolved; `question` None where it was erased.
    `answer` and `rule` are the gate's own, over a call."""

    run_id: RunId
    tenant: Tenant
    ordinal: int
    execution: str | None
    question: JSONObject | None
    verdict: JSONObject
    answer: str | None = None
    rule: str | None = None


def rulings(connection: Connection, of_runs: Mapping[str, str]) -> Iterator[Ruled]:
    """The verdicts of the runs that have these values, in the order of the runs."""
    query = (
        select(
            receipts.c.run_id,
            runs.c.org_id,
            runs.c.project_id,
            receipts.c.ordinal,
            receipts.c.kind,
            receipts.c.record,
            receipt_payloads.c.value,
        )
        .join(runs, runs.c.id == receipts.c.run_id)
        .outerjoin(
            receipt_payloads,
            (receipt_payloads.c.run_id == receipts.c.run_id)
            & (receipt_payloads.c.ordinal == receipts.c.ordinal),
        )
        .where(receipts.c.kind.in_(("snapshot", "gate")))
        .where(*(runs.c[name] == value for name, value in of_runs.items()))
        .order_by(receipts.c.run_id, receipts.c.ordinal)
    )
    found = connection.execution_options(yield_per=_BATCH).execute(query)
    for row in found:
        yield from _ruled(row)


def _ruled(row: Any) -> Iterator[Ruled]:
    tenant = Tenant(org_id=row.org_id, project_id=row.project_id)
    payload = json.loads(row.value) if row.value is not None else None
    if row.kind == "snapshot":
        for asked in (payload or {}).get("asked", []):
            yield Ruled(row.run_id, tenant, row.ordinal, None, asked["question"], asked["verdict"])
        return
    body = json.loads(row.record)["body"]
    if "verdict" in body:
        question = (payload or {}).get("question")
        execution, gate = body["tool_execution_id"], (body["answer"], body["rule"])
        yield Ruled(row.run_id, tenant, row.ordinal, execution, question, body["verdict"], *gate)
