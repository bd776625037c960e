"""Safety decisions: each is made once for a rule and a subject, and stays."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from protocol.ids import RunId
from protocol.safety import SafetyDecision
from records.columns import all_of
from records.conflicts import insert_unless_there
from records.safety_tables import safety_decisions
from records.tx import Tx


def keep(tx: Tx, decisions: Sequence[SafetyDecision]) -> None:
    """As they are; a retried look changes nothing."""
    for decision in decisions:
        insert_unless_there(tx.connection, safety_decisions, decision.model_dump())


def of_run(connection: Connection, run_id: RunId) -> list[SafetyDecision]:
    query = select(safety_decisions).where(safety_decisions.c.run_id == run_id)
    columns = safety_decisions.c
    return all_of(
        SafetyDecision, connection.execute(query.order_by(columns.at, columns.subject, columns.rule))
    )


def of_subject(connection: Connection, run_id: RunId, subject: str) -> list[SafetyDecision]:
    """What was decided about one text: it is not decided again."""
    query = select(safety_decisions).where(
        safety_decisions.c.run_id == run_id, safety_decisions.c.subject == subject
    )
    return all_of(SafetyDecision, connection.execute(query.order_by(safety_decisions.c.rule)))
