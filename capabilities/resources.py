"""Resources that tools of ours act through, a skill or a vault: the call names one, which is granted too."""

from collections.abc import Container, Sequence

from capabilities.catalogue_vaults import VAULT_PATCH, VAULT_READERS
from protocol.capability import (
    Capability,
    CapabilitySnapshot,
    Grant,
    SkillCapability,
    ToolCapability,
    VaultCapability,
)
from protocol.errors import InvalidRequest
from protocol.noun import JSONObject
from protocol.tool import ToolDefinition, ToolSource

LOAD_SKILL = "load_skill"
READ_SKILL_FILE = "read_skill_file"

_NAMED_BY: dict[ToolSource, str] = {"skill": "skill", "vault": "vault"}
"""The argument of a source's tools that names the resource; also the attribute that carries its name."""


def implied(capabilities: Sequence[Capability]) -> tuple[ToolCapability, ...]:
    """The tools without which what is asked for could not be reached."""
    names: list[str] = []
    if any(isinstance(capability, SkillCapability) for capability in capabilities):
        names += [LOAD_SKILL, READ_SKILL_FILE]
    vaults = [capability for capability in capabilities if isinstance(capability, VaultCapability)]
    names += VAULT_READERS if vaults else ()
    names += [VAULT_PATCH] if any(vault.access == "write" for vault in vaults) else []
    return tuple(ToolCapability(kind="tool", name=name) for name in names)


def check_vaults(capabilities: Sequence[Capability], declared: Container[str]) -> None:
    """Raises InvalidRequest for a vault that nobody declares."""
    for index, capability in enumerate(capabilities):
        if isinstance(capability, VaultCapability) and capability.name not in declared:
            param = f"capabilities[{index}].name"
            message = f"{param}: there is no vault {capability.name!r}"
            raise InvalidRequest("vault.unknown", message, param=param)


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
    if argument is None:
        return None
    found = resource_of(snapshot, tool, arguments)
    if found is not None:
        wrong = tool.name == VAULT_PATCH and not _may_write(snapshot, found)
        return f'vault: {arguments["vault"]!r} was asked for with the access "read"' if wrong else None
    names = ", ".join(sorted(resources(snapshot, argument))) or "none"
    return (
        f"{argument}: {str(arguments.get(argument))[:200]!r} is not granted in this run; there are: {names}"
    )


def _may_write(snapshot: CapabilitySnapshot, vault: Grant) -> bool:
    asked = (one for one in snapshot.document.requested if isinstance(one, VaultCapability))
    return any(one.access == "write" and one.name == vault.attributes["vault"] for one in asked)


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
