"""The table of skills: a row for each version, which is never changed."""

from sqlalchemy import Column, Index, Table, Text

from protocol.skill import SkillFile
from records.columns import Document, Instant
from records.tables import metadata

skills = Table(
    "skills",
    metadata,
    Column("org_id", Text, nullable=False),
    Column("project_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("description", Document(str), nullable=False),
    Column("license", Document(str)),
    Column("compatibility", Document(str)),
    Column("metadata", Document(dict[str, str]), nullable=False),
    Column("allowed_tools", Document(str)),
    Column("digest", Text, nullable=False),
    Column("files", Document(tuple[SkillFile, ...]), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "project_id", "created_at", "name", "version"),
)
