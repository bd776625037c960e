"""Standing permissions: what a principal, or a whole project, may do without being asked."""

from protocol.noun import Moment, Noun

ANY = "*"
"""In a pattern, one argument that is no option; no plain command has it as a word."""


class StandingGrant(Noun):
    """`argv` is the exact vector; `principal_id` is None where it is for everybody in the project. `words`
    is what was shown before it was saved. `tool` is `bash`, or the start of an MCP server that is a program:
    `mcp:NAME@` and its digest."""

    id: str
    principal_id: str | None
    tool: str = "bash"
    argv: tuple[str, ...]
    words: str
    made_by: str
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
