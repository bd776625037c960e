"""The policy of a project: rules that tighten those of the installation, in numbered versions."""

from typing import Annotated

from pydantic import Field

from protocol.noun import Moment, Noun

PolicyText = Annotated[str, Field(max_length=256 * 1024)]


class ProjectPolicy(Noun):
    """One version of a named text; the latest of each name holds. `digest` is that of the text."""

    name: str
    version: int
    digest: str
    text: str
    put_by: str
    created_at: Moment
