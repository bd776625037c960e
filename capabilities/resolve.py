"""Resolution: what was asked for, the catalogue and the policy give what the run may do, once."""

from typing import Literal

from capabilities.offer import Missing, Offer, Shelf
from capabilities.request import asked_approval, wanted
from capabilities.verdict import Asker, DecisionPoint, PolicyQuestion, Verdict, repository_facts
from protocol.capability import (
    Capability,
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
from protocol.workspace import SET_UP, WorkspacePlan


class ResolveRequest(Noun):
    """Everything that a run's authority depends on besides the catalogue and the policy."""

    run_id: RunId
    principal: Asker
    capabilities: tuple[Capability, ...] = ()
    tools: tuple[ToolReference, ...] = ()
    target: TargetChoice | None = None
    repository: RepositoryGrant | None = None
    workspace: WorkspacePlan | None = None
    labels: tuple[str, ...] = ()


def resolve(request: ResolveRequest, shelf: Shelf, policy: DecisionPoint) -> SnapshotDocument:
    requested = wanted(request.capabilities, request.tools, request.target, request.repository is not None)
    if request.workspace is not None and request.workspace.setup:
        named = {one.name for one in requested if isinstance(one, ToolCapability)}
        requested += () if SET_UP in named else (ToolCapability(kind="tool", name=SET_UP),)
    flat: list[Grant | Denial | Downgrade] = []
    granted: set[str] = set()
    for capability in requested:
        for offer in shelf.offers(capability):
            if offer.name in granted:
                reason = f"{offer.name!r} is already granted under another definition"
                flat.append(_denial(capability, offer.name, "request.duplicate", reason))
                continue
            answer = _answer(request, capability, offer, policy)
            granted.update(part.name for part in answer if isinstance(part, Grant))
            flat.extend(answer)
    return SnapshotDocument(
        run_id=request.run_id,
        requested=requested,
        grants=tuple(part for part in flat if isinstance(part, Grant)),
        denials=tuple(part for part in flat if isinstance(part, Denial)),
        downgrades=(*(part for part in flat if isinstance(part, Downgrade)), *_unserved(request.workspace)),
        policy_digest=policy.digest,
        policy_engine=policy.engine,
        principal=request.principal.id,
        target=request.target.model_dump(mode="json", exclude_none=True) if request.target else None,
        repository=request.repository,
        workspace=request.workspace,
    )


def _unserved(plan: WorkspacePlan | None) -> tuple[Downgrade, ...]:
    """What the repository asks of its box, and does not get."""
    return tuple(
        Downgrade(
            kind="workspace",
            name=one.name,
            asked=one.asked,
            given="nothing",
            rule="workspace.unserved",
            reason=one.reason,
        )
        for one in (plan.unserved if plan else ())
    )


def _answer(
    request: ResolveRequest, capability: Capability, offer: Offer | Missing, policy: DecisionPoint
) -> tuple[Grant | Denial | Downgrade, ...]:
    if isinstance(offer, Missing):
        return (_denial(capability, offer.name, offer.rule, offer.reason),)
    missing = _missing(request, offer.definition)
    if missing is not None:
        return (_denial(capability, offer.name, "target.missing", missing),)
    verdict = policy.decide(_question(request, capability, offer))
    if verdict.answer == "deny":
        return (_denial(capability, offer.name, verdict.rule, verdict.reason),)
    if verdict.answer == "ask" and offer.kind == "egress":
        reason = f"{verdict.reason}; nobody can be asked about each request of a box"
        return (_denial(capability, offer.name, verdict.rule, reason),)
    return _granted(capability, offer, verdict)


def _missing(request: ResolveRequest, definition: ToolDefinition) -> str | None:
    target = request.target
    if definition.source == "target" and (target is None or target.kind != "workspace"):
        return f"{definition.name!r} acts in a workspace, and the run has none"
    if definition.source == "egress" and (target is None or target.kind != "workspace"):
        return f"{definition.name!r} is for a workspace, and the run has none"
    if definition.source == "forge" and request.repository is None:
        return f"{definition.name!r} acts on a repository, and the run has none"
    return None


def _question(request: ResolveRequest, capability: Capability, offer: Offer) -> PolicyQuestion:
    return PolicyQuestion(
        principal=request.principal,
        tool=offer.name,
        kind=offer.kind,
        source=offer.definition.source,
        effect=offer.definition.effect,
        attributes=offer.attributes,
        target=request.target.kind if request.target else None,
        approval=asked_approval(capability),
        labels=request.labels,
        repository=repository_facts(request.repository),
    )


def _granted(capability: Capability, offer: Offer, verdict: Verdict) -> tuple[Grant | Downgrade, ...]:
    asked = asked_approval(capability)
    given: Literal["auto", "ask"] = "ask" if verdict.answer == "ask" or asked == "ask" else "auto"
    tightened = verdict.answer == "allow" and given == "ask"
    grant = Grant(
        kind=offer.kind,
        name=offer.name,
        source_identity=offer.source_identity,
        definition=offer.definition,
        definition_digest=offer.digest,
        effect=offer.definition.effect,
        approval=given,
        rules=("request.ask", *verdict.rules) if tightened else verdict.rules,
        attributes=offer.attributes,
        argument_constraints=offer.argument_constraints,
        hosts=offer.hosts,
        timeout_ms=offer.timeout_ms,
    )
    if asked != "auto" or given != "ask":
        return (grant,)
    downgrade = Downgrade(
        kind=offer.kind,
        name=offer.name,
        asked="auto",
        given="ask",
        rule=verdict.rule,
        reason=verdict.reason,
    )
    return grant, downgrade


def _denial(capability: Capability, name: str, rule: str, reason: str) -> Denial:
    return Denial(kind=capability.kind, name=name, rule=rule, reason=reason)
