"""Resolution: what was asked for, the catalogue and the policy give what the run may do, once."""

from typing import Literal

from capabilities.catalogue import Catalogue, definition_digest
from capabilities.request import asked_approval, label, wanted
from capabilities.verdict import Asker, DecisionPoint, PolicyQuestion, Verdict, repository_facts
from protocol.capability import (
    Capability,
    ClientToolCapability,
    Denial,
    Downgrade,
    Grant,
    RepositoryGrant,
    SnapshotDocument,
    ToolCapability,
)
from protocol.ids import RunId
from protocol.noun import Noun
from protocol.run import TargetChoice, ToolReference
from protocol.tool import ToolDefinition


class ResolveRequest(Noun):
    """Everything that a run's authority depends on besides the catalogue and the policy."""

    run_id: RunId
    principal: Asker
    capabilities: tuple[Capability, ...] = ()
    tools: tuple[ToolReference, ...] = ()
    target: TargetChoice | None = None
    repository: RepositoryGrant | None = None
    labels: tuple[str, ...] = ()


def resolve(request: ResolveRequest, catalogue: Catalogue, policy: DecisionPoint) -> SnapshotDocument:
    requested = wanted(request.capabilities, request.tools, request.target, request.repository is not None)
    flat: list[Grant | Denial | Downgrade] = []
    granted: set[str] = set()
    for capability in requested:
        if label(capability) in granted:
            reason = f"{label(capability)!r} is already granted under another definition"
            flat.append(_denial(capability, "request.duplicate", reason))
            continue
        answer = _answer(request, capability, catalogue, policy)
        granted.update(part.name for part in answer if isinstance(part, Grant))
        flat.extend(answer)
    return SnapshotDocument(
        run_id=request.run_id,
        requested=requested,
        grants=tuple(part for part in flat if isinstance(part, Grant)),
        denials=tuple(part for part in flat if isinstance(part, Denial)),
        downgrades=tuple(part for part in flat if isinstance(part, Downgrade)),
        policy_digest=policy.digest,
        policy_engine=policy.engine,
        principal=request.principal.id,
        target=request.target.model_dump(mode="json", exclude_none=True) if request.target else None,
        repository=request.repository,
    )


def _answer(
    request: ResolveRequest, capability: Capability, catalogue: Catalogue, policy: DecisionPoint
) -> tuple[Grant | Denial | Downgrade, ...]:
    if not isinstance(capability, ToolCapability | ClientToolCapability):
        reason = f"capabilities of the kind {capability.kind!r} are not supported"
        return (_denial(capability, "capability.unsupported", reason),)
    definition = _definition(capability, catalogue)
    if definition is None:
        reason = f"there is no tool {capability.name!r}"
        return (_denial(capability, "catalogue.unknown", reason),)
    if isinstance(capability, ClientToolCapability) and catalogue.get(capability.name) is not None:
        reason = f"{capability.name!r} is the name of a tool of ours"
        return (_denial(capability, "catalogue.name_taken", reason),)
    missing = _missing(request, definition)
    if missing is not None:
        return (_denial(capability, "target.missing", missing),)
    verdict = policy.decide(_question(request, capability, definition))
    if verdict.answer == "deny":
        return (_denial(capability, verdict.rule, verdict.reason),)
    known = catalogue.digest_of(capability.name)
    return _granted(capability, definition, known or definition_digest(definition), verdict)


def _definition(
    capability: ToolCapability | ClientToolCapability, catalogue: Catalogue
) -> ToolDefinition | None:
    if isinstance(capability, ToolCapability):
        return catalogue.get(capability.name)
    return ToolDefinition(
        name=capability.name,
        description=capability.description,
        input_schema=capability.input_schema,
        source="client",
        effect=capability.effect,
    )


def _missing(request: ResolveRequest, definition: ToolDefinition) -> str | None:
    target = request.target
    if definition.source == "target" and (target is None or target.kind != "workspace"):
        return f"{definition.name!r} acts in a workspace, and the run has none"
    if definition.source == "forge" and request.repository is None:
        return f"{definition.name!r} acts on a repository, and the run has none"
    return None


def _question(
    request: ResolveRequest, capability: ToolCapability | ClientToolCapability, definition: ToolDefinition
) -> PolicyQuestion:
    return PolicyQuestion(
        principal=request.principal,
        tool=definition.name,
        kind=capability.kind,
        source=definition.source,
        effect=definition.effect,
        target=request.target.kind if request.target else None,
        approval=asked_approval(capability),
        labels=request.labels,
        repository=repository_facts(request.repository),
    )


def _granted(
    capability: ToolCapability | ClientToolCapability,
    definition: ToolDefinition,
    pinned: str,
    verdict: Verdict,
) -> tuple[Grant | Downgrade, ...]:
    asked = asked_approval(capability)
    given: Literal["auto", "ask"] = "ask" if verdict.answer == "ask" or asked == "ask" else "auto"
    tightened = verdict.answer == "allow" and given == "ask"
    client = isinstance(capability, ClientToolCapability)
    grant = Grant(
        kind=capability.kind,
        name=definition.name,
        source_identity="request" if client else f"rhone:{definition.source}",
        definition=definition,
        definition_digest=pinned,
        effect=definition.effect,
        approval=given,
        rules=("request.ask", *verdict.rules) if tightened else verdict.rules,
        timeout_ms=capability.timeout_ms if isinstance(capability, ClientToolCapability) else None,
    )
    if asked != "auto" or given != "ask":
        return (grant,)
    downgrade = Downgrade(
        kind=capability.kind,
        name=definition.name,
        asked="auto",
        given="ask",
        rule=verdict.rule,
        reason=verdict.reason,
    )
    return grant, downgrade


def _denial(capability: Capability, rule: str, reason: str) -> Denial:
    return Denial(kind=capability.kind, name=label(capability), rule=rule, reason=reason)
