"""Resources that tools of ours act through: a skill. The call names one, and it must be granted as well."""

from collections.abc import Sequence

from protocol.capability import Capability, CapabilitySnapshot, Grant, SkillCapability, ToolCapability
from protocol.noun import JSONObject
from protocol.tool import ToolDefinition, ToolSource

LOAD_SKILL = "load_skill"
READ_SKILL_FILE = "read_skill_file"

_NAMED_BY: dict[ToolSource, str] = {"skill": "skill"}
"""The argument of a source's tools that names the resource; also the attribute that carries its name."""


def implied(capabilities: Sequence[Capability]) -> tuple[ToolCapability, ...]:
    """The tools without which what is asked for could not be reached."""
    names: list[str] = []
    if any(isinstance(capability, SkillCapability) for capability in capabilities):
        names += [LOAD_SKILL, READ_SKILL_FILE]
    return tuple(ToolCapability(kind="tool", name=name) for name in names)


def resources(snapshot: CapabilitySnapshot, kind: str) -> dict[str, Grant]:
    """What is granted of a kind, by the name that calls give it."""
    return {
        grant.attributes[kind]: grant
        for grant in snapshot.document.grants
        if grant.kind == kind and kind in grant.attributes
    }


def resource_of(snapshot: CapabilitySnapshot, tool: Grant, arguments: JSONObject) -> Grant | None:
    """The grant of what a call acts through; None where its tool acts through nothing, or it names none."""
    argument = _NAMED_BY.get(tool.definition.source)
    named = arguments.get(argument) if argument else None
    return resources(snapshot, argument).get(named) if argument and isinstance(named, str) else None


def resource_fault(snapshot: CapabilitySnapshot, tool: Grant, arguments: JSONObject) -> str | None:
    """Why a call cannot act through what it names."""
    argument = _NAMED_BY.get(tool.definition.source)
    if argument is None or resource_of(snapshot, tool, arguments) is not None:
        return None
    names = ", ".join(sorted(resources(snapshot, argument))) or "none"
    return (
        f"{argument}: {str(arguments.get(argument))[:200]!r} is not granted in this run; there are: {names}"
    )


def acting(tool: Grant, resource: Grant | None) -> Grant:
    """The tool's grant with what rules may ask of the resource."""
    if resource is None:
        return tool
    return tool.model_copy(update={"attributes": {**tool.attributes, **resource.attributes}})


def skill_tools() -> tuple[ToolDefinition, ...]:
    skill: JSONObject = {
        "type": "string",
        "description": "The skill with its version, as it is listed: name@version.",
        "minLength": 1,
    }
    return (
        ToolDefinition(
            name=LOAD_SKILL,
            description="Get the instructions of a skill and the list of its files. Load a skill when the "
            "task fits its description, before you begin. In a workspace its files are put beside the work "
            "tree too, so that its scripts can be run; the result says where.",
            input_schema=_schema({"skill": skill}),
            source="skill",
            effect="read_only",
        ),
        ToolDefinition(
            name=READ_SKILL_FILE,
            description="Read one text file of a skill, as load_skill lists it.",
            input_schema=_schema(
                {
                    "skill": skill,
                    "path": {
                        "type": "string",
                        "description": "The file's path in the skill.",
                        "minLength": 1,
                    },
                }
            ),
            source="skill",
            effect="read_only",
        ),
    )


def _schema(properties: JSONObject) -> JSONObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
