"""What the records say against themselves."""

from collections.abc import Iterator

from sqlalchemy import Connection

from cli.reconcile.findings import Finding
from records import checkpoints
from records.checks import (
    LogFault,
    OpenRun,
    claims_without_outcome,
    log_faults,
    open_runs,
    strays,
    unheard,
)
from records.receipt_checks import unmatched


def look(connection: Connection) -> list[Finding]:
    found = [Finding("events", fault.run_id, _told(fault)) for fault in log_faults(connection)]
    for run in open_runs(connection):
        found += _reasons(connection, run)
    found += [
        Finding("subruns", one.run_id, f"it goes on, and {one.other}, which spawned it, has ended")
        for one in strays(connection)
    ]
    found += [
        Finding("subruns", one.run_id, f"it waits for its subrun {one.other}, which is over")
        for one in unheard(connection)
    ]
    found += [Finding("receipts", one.tool_execution_id, one.text) for one in unmatched(connection)]
    claims = claims_without_outcome(connection)
    return found + [
        Finding("claims", claim, "its run has ended, and its outcome is open") for claim in claims
    ]


def _told(fault: LogFault) -> str:
    span = f"{fault.first_seq}..{fault.last_seq}"
    kept = f"{fault.kept} from {fault.lowest} to {fault.highest}"
    return (
        f"its {fault.status} log should be {span} and is {kept}, with {fault.terminal_events} terminal events"
    )


def _reasons(connection: Connection, run: OpenRun) -> Iterator[Finding]:
    if run.status != "waiting":
        return
    if not run.waiting_for:
        yield Finding("runs", run.run_id, "it waits and names no reason")
    still_open = checkpoints.open_among(connection, run.waiting_for)
    if run.waiting_for and not still_open:
        yield Finding("runs", run.run_id, f"it waits for {', '.join(run.waiting_for)}, and none is open")
