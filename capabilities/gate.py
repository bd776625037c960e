"""The gate: one call against the snapshot of its run and the policy's verdict; the stricter answer wins."""

from datetime import datetime

from capabilities.arguments import check_value
from capabilities.request import asked_approval
from capabilities.verdict import Asker, PolicyQuestion, Verdict, repository_facts
from protocol.capability import CapabilitySnapshot, Grant, label
from protocol.checkpoint import Required
from protocol.noun import JSONObject, Noun
from protocol.receipt import Ruling


class Allow(Noun):
    rule: str
    reason: str
    ruling: Ruling | None = None


class Ask(Noun):
    rule: str
    reason: str
    ruling: Ruling | None = None
    required: Required = Required()


class Deny(Noun):
    rule: str
    reason: str
    ruling: Ruling | None = None


class ToolCallFacts(Noun):
    """A call as it stands when it would act. `definition_digest` is that of the tool as it is now, None where
    it no longer exists; `now` is the database's clock."""

    tool: str
    definition_digest: str | None
    arguments: JSONObject
    now: datetime


def question_for(
    snapshot: CapabilitySnapshot,
    grant: Grant,
    arguments: JSONObject,
    *,
    roles: tuple[str, ...],
    project: str | None = None,
    labels: tuple[str, ...] = (),
    branch: str | None = None,
) -> PolicyQuestion:
    """The resolver's question, asked again with arguments: `roles` are those that the principal has now,
    `branch` is what the call would move (None: the granted one)."""
    document = snapshot.document
    asked = next((one for one in document.requested if label(one) == grant.name), None)
    kind = (document.target or {}).get("kind")
    return PolicyQuestion(
        principal=Asker(id=document.principal, roles=roles, project=project),
        tool=grant.name,
        kind=grant.kind,
        source=grant.definition.source,
        effect=grant.effect,
        attributes=grant.attributes,
        target=kind if kind in ("workspace", "browser", "client") else None,
        approval=asked_approval(asked),
        labels=labels,
        repository=repository_facts(document.repository, branch),
        arguments=arguments,
    )


def gate(snapshot: CapabilitySnapshot, call: ToolCallFacts, verdict: Verdict) -> Allow | Ask | Deny:
    grant = snapshot.grant_for(call.tool)
    if grant is None:
        return _ungranted(snapshot, call.tool)
    refusal = _refusal(snapshot, grant, call, verdict)
    if refusal is not None:
        return refusal
    if call.definition_digest != grant.definition_digest:
        return Ask(
            rule="definition.drift", reason=f"the definition of {call.tool!r} changed since it was granted"
        )
    if verdict.answer == "ask":
        return Ask(rule=verdict.rule, reason=verdict.reason)
    if grant.approval == "ask":
        rule = grant.rules[0] if grant.rules else "grant.ask"
        return Ask(rule=rule, reason=f"{call.tool!r} was granted with a person's approval of each call")
    return Allow(rule=verdict.rule, reason=verdict.reason)


def _refusal(
    snapshot: CapabilitySnapshot, grant: Grant, call: ToolCallFacts, verdict: Verdict
) -> Deny | None:
    if grant.expires_at is not None and grant.expires_at <= call.now:
        return Deny(rule="grant.expired", reason=f"the grant of {call.tool!r} ended at {grant.expires_at}")
    if verdict.policy_digest != snapshot.document.policy_digest:
        return Deny(rule="policy.version", reason="the verdict is not of the policy that the snapshot pins")
    if verdict.answer == "deny":
        return Deny(rule=verdict.rule, reason=verdict.reason)
    if call.definition_digest is None:
        return Deny(rule="definition.gone", reason=f"{call.tool!r} no longer exists")
    if grant.argument_constraints:
        fault = check_value(grant.argument_constraints, call.arguments)
        if fault is not None:
            return Deny(rule="grant.arguments", reason=f"{call.tool!r} was granted for less: {fault}")
    return None


def _ungranted(snapshot: CapabilitySnapshot, tool: str) -> Deny:
    for denial in snapshot.document.denials:
        if denial.name == tool:
            return Deny(rule=denial.rule, reason=denial.reason)
    return Deny(rule="grant.missing", reason=f"{tool!r} is not granted in this run")
