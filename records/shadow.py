"""Differences between the policy in force and a candidate, kept once each."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from protocol.noun import Moment, Noun
from records.columns import all_of
from records.conflicts import insert_unless_there
from records.shadow_tables import policy_differences
from records.tx import Tx


class Difference(Noun):
    """`execution` is empty where a snapshot was resolved; `candidate` is the digest of the other policy."""

    org_id: str
    project_id: str
    run_id: str
    execution: str
    tool: str
    candidate: str
    answer: str
    rule: str
    would_answer: str
    would_rule: str


class Noted(Difference):
    at: Moment


def keep(tx: Tx, difference: Difference) -> None:
    """A retried call says it again, and it is there already."""
    insert_unless_there(tx.connection, policy_differences, difference.model_dump() | {"at": tx.now})


def differences(connection: Connection, of: Mapping[str, str], limit: int) -> list[Noted]:
    """Those that have these values, the latest first."""
    query = select(policy_differences).where(*(policy_differences.c[name] == of[name] for name in of))
    order = (policy_differences.c.at.desc(), policy_differences.c.run_id, policy_differences.c.execution)
    return all_of(Noted, connection.execute(query.order_by(*order).limit(limit)))
