"""The context of a model call: a byte-stable prefix (instructions, tools), then the head of the session.

Tools are sorted by name and the instructions never hold a clock or an id, so that two turns of a run share
their prefix and a provider's cache can serve it.
"""

from collections.abc import Sequence

from capabilities.egress import granted, title
from protocol.block import Block, TextPart, ToolCallBlock, ToolResultBlock
from protocol.capability import CapabilitySnapshot
from protocol.egress import GrantedEgress
from protocol.model import ModelRequest
from protocol.noun import JSONObject
from protocol.run import Limits
from protocol.tool import ToolDefinition
from protocol.workspace import SET_UP

WORKSPACE = """\
You work in a Linux workspace at /workspace. Only what lies there can be changed; it has {network} and no \
credentials. Look before you change, run the tests that exist, and keep to what was asked."""

REPOSITORY = """\
The workspace is a git clone of {repository} at the branch {branch}, made from {base}. Commit your work on \
this branch with git. To hand it in, call open_pull_request: a person sees the exact diff and decides."""


EGRESS = """\
Programs in the workspace reach what stands here, through the proxy that their environment names. A \
variable for a credential holds a placeholder: send it as it is, and the proxy puts the credential there.
{reach}"""

SKILLS = """\
Skills are instructions for kinds of tasks. Before you begin a task that one of them fits, get it with \
load_skill:
{skills}"""


def instructions_for(snapshot: CapabilitySnapshot, own: str | None) -> str:
    """The system layer: what the place is, then the session's own instructions."""
    document = snapshot.document
    parts: list[str] = []
    if document.target is not None:
        reach = granted(snapshot)
        parts.append(WORKSPACE.format(network="no network but what stands below" if reach else "no network"))
        if reach:
            parts.append(EGRESS.format(reach="\n".join(map(_reach, reach))))
    if document.repository is not None:
        grant = document.repository
        parts.append(
            REPOSITORY.format(repository=grant.repository, branch=grant.branch, base=grant.base_branch)
        )
    skills = sorted((grant for grant in document.grants if grant.kind == "skill"), key=lambda one: one.name)
    if skills:
        lines = (f"- {grant.name}: {' '.join(grant.definition.description.split())}" for grant in skills)
        parts.append(SKILLS.format(skills="\n".join(lines)))
    if own:
        parts.append(own)
    return "\n\n".join(parts)


def _reach(one: GrantedEgress) -> str:
    bound = f" (placeholder in ${one.binding.variable})" if one.binding else ""
    return f"- {title(one.rule).removeprefix('egress:')}{bound}"


def tools_for(snapshot: CapabilitySnapshot) -> tuple[ToolDefinition, ...]:
    callable_kinds = {"tool", "client_tool", "mcp_tool", "mcp_resource", "mcp_prompt", "memory"}
    every = snapshot.document.grants
    grants = (grant for grant in every if grant.kind in callable_kinds and grant.name != SET_UP)
    return tuple(sorted((grant.definition for grant in grants), key=lambda tool: tool.name))


def request_for(
    snapshot: CapabilitySnapshot,
    blocks: Sequence[Block],
    *,
    wire_model: str,
    own_instructions: str | None,
    limits: Limits,
    json_schema: JSONObject | None,
    cache_key: str,
) -> ModelRequest:
    return ModelRequest.model_construct(
        model=wire_model,
        instructions=instructions_for(snapshot, own_instructions),
        blocks=tuple(blocks),
        tools=tools_for(snapshot),
        json_schema=json_schema,
        parallel_tools=limits.parallel_tools,
        cache_key=cache_key,
    )


def dangling(blocks: Sequence[Block]) -> tuple[ToolCallBlock, ...]:
    """Tool calls of the head that have no result: each must get one before a model sees the head again."""
    answered = {block.tool_call_id for block in blocks if isinstance(block, ToolResultBlock)}
    calls = (block for block in blocks if isinstance(block, ToolCallBlock))
    return tuple(call for call in calls if call.tool_call_id not in answered)


def not_executed(reason: str) -> tuple[TextPart, ...]:
    """The result of a call that was never run."""
    return (TextPart(text=f"The call was not executed: {reason}."),)
