"""Safety decisions: each is made once for a rule and a subject, and stays."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from protocol.ids import RunId
from protocol.safety import SafetyDecision
from records.columns import all_of
from records.conflicts import insert_unless_there
from records.safety_tables import safety_decisions
from records.tx import Tx

_OF = select(safety_decisions).where(safety_decisions.c.run_id == bindparam("of"))
_OF_SUBJECT = _OF.where(safety_decisions.c.subject == bindparam("about")).order_by(safety_decisions.c.rule)


def keep(tx: Tx, decisions: Sequence[SafetyDecision]) -> None:
    """As they are; a retried look changes nothing."""
    for decision in decisions:
        insert_unless_there(tx.connection, safety_decisions, decision.model_dump())


def of_run(connection: Connection, run_id: RunId) -> list[SafetyDecision]:
    columns = safety_decisions.c
    query = _OF.order_by(columns.at, columns.subject, columns.rule)
    return all_of(SafetyDecision, connection.execute(query, {"of": run_id}))


def of_subject(connection: Connection, run_id: RunId, subject: str) -> list[SafetyDecision]:
    """What was decided about one text: it is not decided again."""
    return all_of(SafetyDecision, connection.execute(_OF_SUBJECT, {"of": run_id, "about": subject}))
