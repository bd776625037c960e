"""The tree of runs: each run with those that it spawned, and theirs."""

from sqlalchemy import Select, select

from protocol.ids import RunId
from records.tables import runs


def tree(run_id: RunId) -> Select[tuple[str]]:
    """The ids of a run and of all runs below it."""
    below = select(runs.c.id).where(runs.c.id == run_id).cte("tree", recursive=True)
    below = below.union(select(runs.c.id).where(runs.c.parent_run_id == below.c.id))
    return select(below.c.id)
