"""Skills: instructions with their files, imported once under a version and never changed."""

from typing import Annotated

from pydantic import Field

from protocol.noun import Moment, Noun

SkillVersion = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class SkillFile(Noun):
    """One file of a skill; its bytes lie in the blob store under `digest`."""

    path: str
    digest: str
    size: int
    executable: bool = False


class Skill(Noun):
    """One version of a skill (the Agent Skills format). `digest` covers its files, SKILL.md among them."""

    name: str
    version: str
    description: str
    license: str | None = None
    compatibility: str | None = None
    metadata: dict[str, str] = {}
    allowed_tools: str | None = None
    digest: str
    files: tuple[SkillFile, ...]
    created_at: Moment

    @property
    def ref(self) -> str:
        """How a run asks for it."""
        return f"{self.name}@{self.version}"
