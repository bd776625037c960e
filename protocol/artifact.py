"""Artifacts: files of a work tree that a run keeps for whoever reads it, each once and for good."""

from typing import Annotated

from pydantic import Field

from protocol.ids import ArtifactId, RunId, SessionId, ToolExecutionId
from protocol.noun import Moment, Noun

MOST_BYTES = 50 * 1024 * 1024
MOST_BYTES_OF_A_RUN = 500 * 1024 * 1024
MOST_OF_A_RUN = 200


class NewArtifact(Noun):
    """What a tool execution keeps. Its bytes lie in the blob store under `digest`."""

    tool_execution_id: ToolExecutionId
    name: str
    path: str
    media_type: str
    size: Annotated[int, Field(ge=0, le=MOST_BYTES)]
    digest: str


class Artifact(NewArtifact):
    """One kept file. A later one of the same name stands beside it; nothing is replaced."""

    id: ArtifactId
    run_id: RunId
    session_id: SessionId
    created_at: Moment
