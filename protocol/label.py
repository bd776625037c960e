"""Labels: what a run has read, for rules that care. They are only ever added."""

from typing import Annotated, Literal

from pydantic import Field

Label = Literal["untrusted", "private"]
"""`untrusted`: written by strangers, and may give orders. `private`: not for strangers to read."""

LabelKey = Annotated[
    str,
    Field(pattern=r"^(source:[a-z]+|mcp:[^\s:]+|memory:(user|project|session)|vault(:[^\s:]+)?|[^\s:]+)$"),
]
"""A tool by its name, or several: `source:mcp`, `mcp:SERVER`, `memory:SCOPE`, `vault`, `vault:NAME`."""
