"""What a run asks for: checked before anything is made, then completed with what every run of its kind gets.

A run with a workspace that names no tool gets the standard ones: the workspace tools and `ask_user`, and with
a repository the forge tools. Naming one tool (as a capability or by shorthand) names them all; client tools
come on top. A run without a workspace gets no tool that it does not name.
"""

from collections.abc import Sequence
from typing import Literal

from capabilities.arguments import schema_fault
from capabilities.catalogue import ASK_USER, FORGE_TOOLS, WORKSPACE_TOOLS, Catalogue
from capabilities.resources import implied
from protocol.capability import Approval, Capability, ClientToolCapability, ToolCapability
from protocol.errors import InvalidRequest
from protocol.run import TargetChoice, ToolReference

_BUILT = frozenset({"tool", "client_tool", "egress", "mcp", "memory", "skill", "vault"})
_SHORTHAND = {"native": ("native", "forge"), "target": ("target",)}


def check_request(
    capabilities: Sequence[Capability], tools: Sequence[ToolReference], catalogue: Catalogue
) -> None:
    """Raises InvalidRequest for what this product does not have, with the field that asks for it."""
    kind = unsupported(capabilities)
    if kind is not None:
        message = f"capabilities of the kind {kind[1]!r} are not supported"
        raise InvalidRequest("capability.unsupported", message, param=f"capabilities[{kind[0]}].kind")
    for index, reference in enumerate(tools):
        if reference.source not in _SHORTHAND:
            message = f"tools of the source {reference.source!r} are not supported"
            raise InvalidRequest("capability.unsupported", message, param=f"tools[{index}].source")
    for param, name in unknown_tools(capabilities, tools, catalogue):
        message = f"there is no tool {name!r}; there are {', '.join(catalogue.names())}"
        raise InvalidRequest("capability.unknown_tool", message, param=param)
    _check_client_tools(capabilities, catalogue)


def unsupported(capabilities: Sequence[Capability]) -> tuple[int, str] | None:
    """The first capability whose kind is named by the API but not built."""
    for index, capability in enumerate(capabilities):
        if capability.kind not in _BUILT:
            return index, capability.kind
    return None


def unknown_tools(
    capabilities: Sequence[Capability], tools: Sequence[ToolReference], catalogue: Catalogue
) -> tuple[tuple[str, str], ...]:
    """Tools that are asked for and not in the catalogue, each with the field that names it."""
    unknown: list[tuple[str, str]] = []
    for index, capability in enumerate(capabilities):
        if isinstance(capability, ToolCapability) and catalogue.get(capability.name) is None:
            unknown.append((f"capabilities[{index}].name", capability.name))
    for index, reference in enumerate(tools):
        definition = catalogue.get(reference.name)
        if definition is None or definition.source not in _SHORTHAND.get(reference.source, ()):
            unknown.append((f"tools[{index}].name", reference.name))
    return tuple(unknown)


def _check_client_tools(capabilities: Sequence[Capability], catalogue: Catalogue) -> None:
    seen: set[str] = set()
    for index, capability in enumerate(capabilities):
        if not isinstance(capability, ClientToolCapability):
            continue
        if capability.name in seen or catalogue.get(capability.name) is not None:
            message = f"the name {capability.name!r} is taken by another tool"
            raise InvalidRequest("capability.name_taken", message, param=f"capabilities[{index}].name")
        seen.add(capability.name)
        fault = schema_fault(capability.input_schema)
        if fault is not None:
            field = f"capabilities[{index}].input_schema"
            raise InvalidRequest("capability.schema_invalid", f"{field}: {fault}", param=field)


def wanted(
    capabilities: Sequence[Capability],
    tools: Sequence[ToolReference],
    target: TargetChoice | None,
    has_repository: bool,
) -> tuple[Capability, ...]:
    """All that is asked for. A tool that is named twice stands once: `ask` wins over `auto` over silence."""
    shorthand = tuple(ToolCapability(kind="tool", name=reference.name) for reference in tools)
    asked: tuple[Capability, ...] = (*capabilities, *shorthand)
    if not any(isinstance(capability, ToolCapability) for capability in asked):
        asked = (*asked, *_standard(target, has_repository))
    asked = (*asked, *implied(capabilities))
    merged: dict[str, ToolCapability] = {}
    order: list[Capability | str] = []
    for capability in asked:
        if not isinstance(capability, ToolCapability):
            order.append(capability)
            continue
        first = merged.get(capability.name)
        if first is None:
            order.append(capability.name)
        approval = _stricter(first.approval if first else None, capability.approval)
        merged[capability.name] = capability.model_copy(update={"approval": approval})
    return tuple(merged[entry] if isinstance(entry, str) else entry for entry in order)


def _standard(target: TargetChoice | None, has_repository: bool) -> tuple[ToolCapability, ...]:
    if target is None or target.kind != "workspace":
        return ()
    names = (*WORKSPACE_TOOLS, ASK_USER, *(FORGE_TOOLS if has_repository else ()))
    return tuple(ToolCapability(kind="tool", name=name) for name in names)


def _stricter(one: Approval | None, other: Approval | None) -> Approval | None:
    asked = {plain(one), plain(other)}
    return "ask" if "ask" in asked else "auto" if "auto" in asked else None


def plain(approval: Approval | None) -> Literal["auto", "ask"] | None:
    return "ask" if approval == "approve" else approval


def asked_approval(capability: Capability | None) -> Literal["auto", "ask"] | None:
    known = isinstance(capability, ToolCapability | ClientToolCapability)
    return plain(capability.approval) if known else None
