"""Tools of ours that act through a vault: read its notes, follow their links, and propose a change to one."""

from protocol.noun import JSON, JSONObject
from protocol.tool import Effect, ToolDefinition

VAULT_READERS = ("vault_list", "vault_read", "vault_search", "vault_backlinks")
VAULT_PATCH = "vault_patch"

_NOTE = "The note: its path, title or alias, or a link: Name, Name#Heading, Name#^block, ((block))."


def vault_tools() -> tuple[ToolDefinition, ...]:
    return (
        _tool(
            "vault_list",
            "List the notes of a vault with their titles and tags, by path.",
            {"folder?": _text("Only below this folder."), "tag?": _text("Only notes with this tag.")},
        ),
        _tool(
            "vault_read",
            "Read a note of a vault, or one part of it: a section by its heading, a block by its id. Its "
            "links are listed with the paths that they lead to, so that you can follow them.",
            {"note": _text(_NOTE, minLength=1)},
        ),
        _tool(
            "vault_search",
            "Search the notes of a vault for words, best first: notes with all of them, else with some.",
            {"query": _text("The words.", minLength=1), "limit?": _limit()},
        ),
        _tool("vault_backlinks", "List which notes link to a note.", {"note": _text(_NOTE, minLength=1)}),
        _tool(
            VAULT_PATCH,
            "Propose a change to one note of a vault, as a unified diff of the whole change. A person may "
            "have to approve the exact diff, so the call can wait long. Read the note before: each line of "
            "context and each removed line has to stand in it as you write it.",
            {
                "path": _text("The note's path, as it is listed; a new one makes a new note.", minLength=1),
                "patch": _text("The hunks: @@ lines, then lines that begin with blank, - or +.", minLength=1),
                "reason?": _text("For the approver: why, in one sentence.", maxLength=500),
            },
            effect="non_idempotent_write",
            advisory=("reason",),
        ),
    )


def _tool(
    name: str,
    description: str,
    properties: JSONObject,
    *,
    effect: Effect = "read_only",
    advisory: tuple[str, ...] = (),
) -> ToolDefinition:
    """A `?` after a name marks an argument that may be left out."""
    named: JSONObject = {"vault": _text("The vault's name.", minLength=1), **properties}
    required: list[JSON] = [argument for argument in named if not argument.endswith("?")]
    return ToolDefinition(
        name=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": {argument.removesuffix("?"): schema for argument, schema in named.items()},
            "required": required,
            "additionalProperties": False,
        },
        source="vault",
        effect=effect,
        advisory=advisory,
    )


def _text(description: str, **limits: JSON) -> JSONObject:
    return {"type": "string", "description": description, **limits}


def _limit() -> JSONObject:
    return {"type": "integer", "description": "At most so many. Default 10.", "minimum": 1, "maximum": 50}
