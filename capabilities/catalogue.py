"""The catalogue: what exists to be granted, each tool with the definition that a grant pins."""

from collections.abc import Iterable, Mapping
from functools import cache

from capabilities.arguments import schema_fault
from capabilities.catalogue_vaults import vault_tools
from capabilities.catalogue_web import web_tools
from capabilities.offer import Missing, Offer, Offered
from capabilities.resources import skill_tools
from capabilities.spawn import spawn_tools
from protocol.artifact import MOST_BYTES
from protocol.capability import Capability, ClientToolCapability, ToolCapability, label
from protocol.digest import digest
from protocol.noun import JSON, JSONObject
from protocol.tool import Effect, ToolDefinition, ToolSource
from protocol.workspace import SET_UP


def definition_digest(definition: ToolDefinition) -> str:
    """The digest of the raw definition object: any change of name, words, schema or class changes it."""
    return digest(definition)


class Catalogue:
    """Declared tools by name. `extra` declares more than the built-in ones, as tests and plugins do; `absent`
    names those that this house cannot grant, and why."""

    def __init__(
        self, extra: Iterable[ToolDefinition] = (), absent: Mapping[str, Missing] | None = None
    ) -> None:
        self._absent = dict(absent or {})
        self._tools = {definition.name: definition for definition in built_in()}
        for definition in extra:
            fault = schema_fault(definition.input_schema)
            if definition.name in self._tools or fault:
                raise ValueError(f"tool {definition.name!r}: {fault or 'it is declared twice'}")
            self._tools[definition.name] = definition
        self._digests = {name: definition_digest(definition) for name, definition in self._tools.items()}

    def get(self, name: str) -> ToolDefinition | None:
        return self._tools.get(name)

    def digest_of(self, name: str) -> str | None:
        """The digest of a tool's definition as it is now; None where there is no such tool."""
        return None if name in self._absent else self._digests.get(name)

    def offers(self, capability: Capability) -> Offered:
        """What is here for a capability: a declared tool, or the definition that a client tool brings."""
        if isinstance(capability, ClientToolCapability):
            return (self._client_tool(capability),)
        if not isinstance(capability, ToolCapability):
            reason = f"capabilities of the kind {capability.kind!r} are not supported"
            return (Missing(name=label(capability), rule="capability.unsupported", reason=reason),)
        definition = self.get(capability.name)
        if definition is None:
            reason = f"there is no tool {capability.name!r}"
            return (Missing(name=capability.name, rule="catalogue.unknown", reason=reason),)
        if definition.name in self._absent:
            return (self._absent[definition.name],)
        return (
            Offer(
                kind="tool",
                name=definition.name,
                source_identity=f"rhone:{definition.source}",
                definition=definition,
                digest=self._digests[definition.name],
            ),
        )

    def _client_tool(self, capability: ClientToolCapability) -> Offer | Missing:
        if capability.name in self._tools:
            reason = f"{capability.name!r} is the name of a tool of ours"
            return Missing(name=capability.name, rule="catalogue.name_taken", reason=reason)
        definition = ToolDefinition(
            name=capability.name,
            description=capability.description,
            input_schema=capability.input_schema,
            source="client",
            effect=capability.effect,
            compensation=capability.compensation,
        )
        return Offer(
            kind="client_tool",
            name=definition.name,
            source_identity="request",
            definition=definition,
            digest=definition_digest(definition),
            timeout_ms=capability.timeout_ms,
        )

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._tools))

    def declared(self) -> tuple[ToolDefinition, ...]:
        return tuple(self._tools[name] for name in self.names())


WORKSPACE_TOOLS = ("bash", "read_file", "write_file", "edit_file", "glob", "grep", "save_artifact")
FORGE_TOOLS = ("git_push", "open_pull_request")
ASK_USER = "ask_user"


@cache
def built_in() -> tuple[ToolDefinition, ...]:
    of_runs = (*skill_tools(), *vault_tools(), _ask_user(), *web_tools(), *spawn_tools())
    return (*_workspace(), *_forge(), *of_runs)


def _text(description: str, **limits: JSON) -> JSONObject:
    return {"type": "string", "description": description, **limits}


def _count(description: str, minimum: int, maximum: int) -> JSONObject:
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum}


def _flag(description: str) -> JSONObject:
    return {"type": "boolean", "description": description}


_PATH = "Path of the file: relative to the working directory /workspace, or absolute inside it."


def _tool(
    name: str,
    description: str,
    arguments: Mapping[str, JSONObject],
    *,
    source: ToolSource,
    effect: Effect,
    advisory: tuple[str, ...] = (),
) -> ToolDefinition:
    """A `?` at the end of an argument's name marks it as optional."""
    schema: JSONObject = {
        "type": "object",
        "properties": {key.removesuffix("?"): value for key, value in arguments.items()},
        "required": [key for key in arguments if not key.endswith("?")],
        "additionalProperties": False,
    }
    return ToolDefinition(
        name=name,
        description=description,
        input_schema=schema,
        source=source,
        effect=effect,
        advisory=advisory,
    )


def _workspace() -> tuple[ToolDefinition, ...]:
    return (
        _tool(
            "bash",
            "Run a bash command in the workspace and get its exit code, stdout and stderr. Each call is a "
            "new shell in /workspace: directory changes and variables do not carry over to the next call, "
            "files do. There is no network but what your instructions name, and no terminal: never start "
            "what waits for input. Everything the command started is ended when the call ends. Long output "
            "is cut in the middle, so filter it yourself.",
            {
                "command": _text("The command line, run by bash. It may span lines.", minLength=1),
                "timeout_ms?": _count(
                    "After this many milliseconds the command is killed. Default: the limit of the run.",
                    1,
                    24 * 3600 * 1000,
                ),
                "description?": _text("For the reader: what this does, in five to ten words.", maxLength=200),
            },
            source="target",
            effect="workspace",
            advisory=("description",),
        ),
        _tool(
            "read_file",
            "Read a text file of the workspace. Lines come with their numbers; the numbers are not part of "
            "the file. Read before you edit.",
            {
                "path": _text(_PATH, minLength=1),
                "offset?": _count("The first line to read, counted from 1. Default 1.", 1, 1_000_000_000),
                "limit?": _count("How many lines to read. Default 2000.", 1, 100_000),
            },
            source="target",
            effect="read_only",
        ),
        _tool(
            "write_file",
            "Write a file of the workspace: it is made, with its folders, or replaced wholly. To change a "
            "part of a file use edit_file.",
            {
                "path": _text(_PATH, minLength=1),
                "content": _text("The whole new content, byte for byte. End text files with a newline."),
            },
            source="target",
            effect="workspace",
        ),
        _tool(
            "edit_file",
            "Replace text in a file of the workspace. `old_text` must stand in the file exactly once, "
            "spaces and line ends included: take it from read_file without the line numbers, and take "
            "enough of it. With `replace_all` every occurrence is replaced.",
            {
                "path": _text(_PATH, minLength=1),
                "old_text": _text("The exact text that is there now.", minLength=1),
                "new_text": _text("The text that stands there afterwards; empty to delete."),
                "replace_all?": _flag("Replace every occurrence instead of exactly one. Default false."),
            },
            source="target",
            effect="workspace",
        ),
        _tool(
            "glob",
            "List the files of the workspace whose path fits a pattern, newest first. `*` stays within a "
            "folder, `**` crosses folders: `src/**/*.py`.",
            {"pattern": _text("The pattern, relative to /workspace.", minLength=1)},
            source="target",
            effect="read_only",
        ),
        _tool(
            "grep",
            "Search the files of the workspace for a regular expression (ripgrep's syntax) and get the "
            "lines that match as path:line:text. Files that git ignores are left out.",
            {
                "pattern": _text("The regular expression.", minLength=1),
                "path?": _text("A file or folder to search in. Default: the whole workspace.", minLength=1),
                "glob?": _text("Only files whose path fits this pattern, as in `*.py`.", minLength=1),
                "limit?": _count("At most this many lines. Default 200.", 1, 5_000),
            },
            source="target",
            effect="read_only",
        ),
        _tool(
            "save_artifact",
            "Keep a file of the workspace beside the run, for the person who reads it: a report, a "
            "picture, a build. It is kept as it is now; a later change of the file changes nothing. At most "
            f"{MOST_BYTES // 1024 // 1024} MiB. Code does not belong here: it goes into a commit.",
            {
                "path": _text(_PATH, minLength=1),
                "name?": _text("What to call it. Default: the file's own name.", minLength=1, maxLength=200),
                "media_type?": _text("Such as text/html. Default: what the name's ending says."),
            },
            source="target",
            effect="idempotent_write",
        ),
        _tool(
            SET_UP,
            "The commands that make a workspace ready, run in order by bash in /workspace until one fails.",
            {
                "commands": {
                    "type": "array",
                    "description": "The command lines, in order.",
                    "items": {"type": "string", "minLength": 1},
                    "minItems": 1,
                }
            },
            source="target",
            effect="workspace",
        ),
    )


_UNDO_PUSH = (
    "Put the branch back to the commit that it had (the push names it), or delete it if it was new. Nothing "
    "else was moved; whoever fetched it meanwhile keeps what was pushed."
)


def _forge() -> tuple[ToolDefinition, ...]:
    return (
        _tool(
            "git_push",
            "Push the branch of this run, as it stands in the workspace, to the forge. Commit first: only "
            "commits are pushed. The branch must descend from the commit that the run started on; nothing "
            "is forced. A person may have to approve the exact diff, so the call can wait long.",
            {"message?": _text("For the approver: why this is pushed, in one sentence.", maxLength=500)},
            source="forge",
            effect="non_idempotent_write",
            advisory=("message",),
        ).model_copy(update={"compensation": _UNDO_PUSH}),
        _tool(
            "open_pull_request",
            "Hand in the work: push the branch of this run, as it stands in the workspace, and open a pull "
            "request from it to the base branch, as one act. Commit first, and call it once, when the task "
            "is done; do not call git_push before it. A person may have to approve the exact diff, so the "
            "call can wait long. The result holds the URL.",
            {
                "title": _text("The title: what the change does, in one line.", minLength=1, maxLength=255),
                "body": _text(
                    "The description in Markdown: what was wrong, what was changed, how it was checked.",
                    maxLength=60_000,
                ),
            },
            source="forge",
            effect="non_idempotent_write",
        ).model_copy(update={"compensation": f"Close the pull request. {_UNDO_PUSH}"}),
    )


def _ask_user() -> ToolDefinition:
    return _tool(
        ASK_USER,
        "Ask the person behind the task one question and wait for the answer, which may take long. Use it "
        "only where you cannot go on without a decision that is not yours; else choose, and say what you "
        "chose.",
        {
            "question": _text("The question, with what the reader must know to answer it.", minLength=1),
            "options?": {
                "type": "array",
                "description": "Answers to choose from, where there are only a few.",
                "items": {"type": "string", "minLength": 1},
                "minItems": 2,
                "maxItems": 10,
            },
        },
        source="native",
        effect="read_only",
    )
