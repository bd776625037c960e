"""Inheritance: a subrun is offered what its parent holds, and nothing that it gets is looser than that.

`within` is the wall: whatever a document says, what it returns is a part of the parent's authority.
"""

from capabilities.egress import title
from capabilities.mcp import LISTED, model_name
from capabilities.memory import memory_tools
from capabilities.offer import Missing, Offer, Offered
from capabilities.spawn import SPAWN
from protocol.capability import (
    Capability,
    CapabilitySnapshot,
    Denial,
    Downgrade,
    EgressCapability,
    Grant,
    GrantKind,
    McpCapability,
    MemoryCapability,
    SkillCapability,
    SnapshotDocument,
    ToolCapability,
    VaultCapability,
    label,
)
from protocol.errors import Refused
from protocol.noun import JSONObject
from protocol.subrun import ParentSnapshot, SubrunLimits

NOT_HELD = "subrun.not_held"
DEPTH = "subrun.depth"


class Inherited:
    """The shelf of a subrun: the grants of its parent, as they were pinned."""

    def __init__(self, parent: CapabilitySnapshot) -> None:
        self._parent = parent.document

    def offers(self, capability: Capability) -> Offered:
        found = tuple(self._offer(kinds, name) for kinds, name in _names(capability, self._parent))
        return found or (_not_held(label(capability)),)

    def _offer(self, kinds: tuple[GrantKind, ...], name: str) -> Offer | Missing:
        held = _held(self._parent, name)
        if held is None or held.kind not in kinds:
            return _not_held(name)
        if name == SPAWN and _levels(self._parent) is None:
            return Missing(name=name, rule=DEPTH, reason="no run below this one may spawn another")
        return Offer(
            kind=held.kind,
            name=held.name,
            source_identity=held.source_identity,
            definition=held.definition,
            digest=held.definition_digest,
            attributes=held.attributes,
            argument_constraints=held.argument_constraints,
            hosts=held.hosts,
            timeout_ms=held.timeout_ms,
        )


def within(document: SnapshotDocument, parent: CapabilitySnapshot) -> SnapshotDocument:
    """The part of a subrun's document that its parent holds. Raises Refused where it is of another place,
    principal or policy."""
    whole = parent.document
    _check_place(document, whole)
    denials, downgrades = list(document.denials), list(document.downgrades)
    grants: list[Grant] = []
    for grant in document.grants:
        held = _held(whole, grant.name)
        if held is None or _pinned(grant) != _pinned(held):
            denials.append(_denial(grant, NOT_HELD))
            continue
        if grant.name == SPAWN and _levels(whole) is None:
            denials.append(_denial(grant, DEPTH))
            continue
        if (grant.approval, held.approval) == ("auto", "ask") and _asked(document, grant.name) == "auto":
            downgrades.append(_downgrade(grant, held))
        grants.append(_narrowed(grant, held))
    return document.model_copy(
        update={
            "requested": tuple(one for one in document.requested if not _is_wider(one, whole)),
            "grants": tuple(grants),
            "denials": tuple(denials),
            "downgrades": tuple(downgrades),
            "safety_profile": whole.safety_profile,
            "assessment_profile": whole.assessment_profile,
            "subruns": _levels(whole) if any(grant.name == SPAWN for grant in grants) else None,
            "parent": ParentSnapshot(run_id=whole.run_id, snapshot_id=parent.id, digest=parent.digest),
        }
    )


def _names(capability: Capability, whole: SnapshotDocument) -> list[tuple[tuple[GrantKind, ...], str]]:
    """The grants that a capability is about, each by what it is called in a run."""
    match capability:
        case ToolCapability(name=name):
            return [(("tool", "client_tool"), name)]
        case McpCapability(server=server):
            listed = {
                "tools": capability.tools,
                "resources": capability.resources,
                "prompts": capability.prompts,
            }
            return [
                ((kind,), model_name(of, server, one)) for kind, of in LISTED.items() for one in listed[of]
            ]
        case MemoryCapability():
            return [(("memory",), definition.name) for definition in memory_tools(capability)]
        case SkillCapability(ref=ref):
            return [(("skill",), ref)]
        case VaultCapability(name=name):
            return [(("vault",), f"vault:{name}")]
        case EgressCapability(bundle=None, rules=rules):
            return [(("egress",), title(rule)) for rule in rules]
        case EgressCapability(bundle=bundle):
            of_bundle = (one for one in whole.grants if one.source_identity == f"rhone:egress/{bundle}")
            return [(("egress",), grant.name) for grant in of_bundle]
        case _:
            return []


def _held(document: SnapshotDocument, name: str) -> Grant | None:
    return next((grant for grant in document.grants if grant.name == name), None)


def _levels(document: SnapshotDocument) -> SubrunLimits | None:
    """What is left of a run's levels for a run below it that spawns too."""
    own = document.subruns
    return own.model_copy(update={"depth": own.depth - 1}) if own is not None and own.depth > 1 else None


def _pinned(grant: Grant) -> tuple[object, ...]:
    """What is the same in both grants, or they are not of the same thing. Of an egress, its rule as well."""
    definition = (grant.definition, grant.definition_digest, grant.effect)
    exact = (grant.argument_constraints, grant.hosts) if grant.kind == "egress" else ()
    return (grant.kind, grant.name, grant.source_identity, grant.attributes, *definition, *exact)


def _narrowed(grant: Grant, held: Grant) -> Grant:
    asks = held.approval == "ask"
    times = (grant.timeout_ms, held.timeout_ms)
    ends = (grant.expires_at, held.expires_at)
    return grant.model_copy(
        update={
            "approval": "ask" if asks else grant.approval,
            "rules": tuple(dict.fromkeys((*held.rules, *grant.rules))) if asks else grant.rules,
            "argument_constraints": _both(held.argument_constraints, grant.argument_constraints),
            "hosts": tuple(host for host in grant.hosts if host in held.hosts),
            "timeout_ms": min((one for one in times if one is not None), default=None),
            "expires_at": min((one for one in ends if one is not None), default=None),
        }
    )


def _both(one: JSONObject, other: JSONObject) -> JSONObject:
    if not one or not other or one == other:
        return one or other
    return {"allOf": [one, other]}


def _is_wider(capability: Capability, whole: SnapshotDocument) -> bool:
    """What is asked for says which notes may be written, so more than the parent asked for is left out."""
    writes = isinstance(capability, VaultCapability) and capability.access == "write"
    return writes and capability not in whole.requested


def _check_place(document: SnapshotDocument, whole: SnapshotDocument) -> None:
    target, of_parent = document.target or {}, whole.target or {}
    same = {
        "policy": document.policy_digest == whole.policy_digest,
        "principal": document.principal == whole.principal,
        "target": all(of_parent.get(field) == value for field, value in target.items()),
        "repository": document.repository in (None, whole.repository),
    }
    for name, holds in same.items():
        if not holds:
            message = f"the subrun's {name} is not that of the run that spawned it"
            raise Refused("subrun.foreign", message)


def _asked(document: SnapshotDocument, name: str) -> str | None:
    tools = (one for one in document.requested if isinstance(one, ToolCapability))
    return next((one.approval for one in tools if one.name == name), None)


def _downgrade(grant: Grant, held: Grant) -> Downgrade:
    rule = held.rules[0] if held.rules else "subrun.approval"
    reason = f"{grant.name!r} asks in the run that spawned this one"
    return Downgrade(kind=grant.kind, name=grant.name, asked="auto", given="ask", rule=rule, reason=reason)


def _not_held(name: str) -> Missing:
    return Missing(name=name, rule=NOT_HELD, reason=f"the run that spawns this one does not hold {name!r}")


def _denial(grant: Grant, rule: str) -> Denial:
    reason = f"the run that spawned this one does not hold {grant.name!r} like that"
    return Denial(kind=grant.kind, name=grant.name, rule=rule, reason=reason)
