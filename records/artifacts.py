"""Artifacts as the records keep them: one for a tool execution, whoever carries it out, and told with it."""

from sqlalchemy import Connection, bindparam, func, select

from protocol.artifact import MOST_BYTES_OF_A_RUN, MOST_OF_A_RUN, Artifact, NewArtifact
from protocol.errors import Refused
from protocol.event import ArtifactSaved
from protocol.ids import ArtifactId, RunId, SessionId, ToolExecutionId, derived
from records.artifact_tables import artifacts
from records.columns import all_of, first_of, selected
from records.conflicts import insert_unless_there
from records.tx import Tx

_ALL = selected(Artifact, artifacts)
_OF_EXECUTION = _ALL.where(artifacts.c.tool_execution_id == bindparam("of"))
_HELD = select(func.count(), func.coalesce(func.sum(artifacts.c.size), 0)).where(
    artifacts.c.run_id == bindparam("of")
)


def save(tx: Tx, run_id: RunId, session_id: SessionId, new: NewArtifact) -> Artifact:
    """What the execution keeps, from the first time on: a retry gets what is there already."""
    kept = of_execution(tx.connection, new.tool_execution_id)
    if kept is not None:
        return kept
    if tx.ended(run_id):
        raise Refused("run.ended", "the run has ended")
    count, size = _held(tx.connection, run_id)
    if count >= MOST_OF_A_RUN:
        raise Refused("artifact.too_many", f"a run keeps at most {MOST_OF_A_RUN} artifacts")
    if size + new.size > MOST_BYTES_OF_A_RUN:
        message = f"the artifacts of a run have at most {MOST_BYTES_OF_A_RUN} bytes together"
        raise Refused("artifact.too_large", message)
    made = Artifact(
        **new.model_dump(),
        id=ArtifactId(derived("art_", new.tool_execution_id, 0)),
        run_id=run_id,
        session_id=session_id,
        created_at=tx.now,
    )
    insert_unless_there(tx.connection, artifacts, made.model_dump())
    told = ArtifactSaved(
        artifact_id=made.id,
        tool_execution_id=made.tool_execution_id,
        name=made.name,
        media_type=made.media_type,
        size=made.size,
        digest=made.digest,
    )
    tx.append(run_id, told, key=f"artifact:{made.id}")
    return made


def of_execution(connection: Connection, execution: ToolExecutionId) -> Artifact | None:
    return first_of(Artifact, connection.execute(_OF_EXECUTION, {"of": execution}))


def get(connection: Connection, run_id: RunId, artifact_id: str) -> Artifact | None:
    query = _ALL.where(artifacts.c.run_id == run_id, artifacts.c.id == artifact_id)
    return first_of(Artifact, connection.execute(query))


def list_artifacts(connection: Connection, run_id: RunId) -> list[Artifact]:
    """Oldest first."""
    query = _ALL.where(artifacts.c.run_id == run_id)
    return all_of(Artifact, connection.execute(query.order_by(artifacts.c.created_at, artifacts.c.id)))


def _held(connection: Connection, run_id: RunId) -> tuple[int, int]:
    count, size = connection.execute(_HELD, {"of": run_id}).one()
    return int(count), int(size)
