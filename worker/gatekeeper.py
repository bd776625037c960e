"""The one decision point of the acting process: a call against its snapshot and the policy that it pins."""

from collections import OrderedDict

from capabilities.arguments import check_arguments
from capabilities.egress import outward
from capabilities.envelope import Act as Facts
from capabilities.envelope import envelope_of
from capabilities.gate import Allow, Ask, Deny, ToolCallFacts, gate, question_for
from capabilities.policy import Policy
from capabilities.receipts import ruled
from capabilities.required import ask_whom
from capabilities.resources import acting, resource_fault, resource_of
from capabilities.standing import TOOL, covering, may_turn, turned
from protocol.checkpoint import Envelope
from protocol.errors import Refused
from protocol.tool import ToolExecution
from records import snapshots
from records.database import Database
from records.standing import holding
from worker.act import Doing, Prepared
from worker.known_runs import KnownRun, Standing
from worker.shadow import Shadow
from worker.sources import Sources

KEPT = 32


class Gatekeeper:
    """Fit, gate and envelope of a call; policies are compiled once per digest."""

    def __init__(self, database: Database, sources: Sources, current: Policy, shadow: Shadow) -> None:
        self._database = database
        self._shadow = shadow
        self._sources = sources
        self._policies: OrderedDict[str, Policy] = OrderedDict({current.digest: current})

    def unfit(self, known: KnownRun, execution: ToolExecution) -> str | None:
        """Why the call cannot be a call of the tool at all, in words that help the model mend it."""
        definition = known.tools.get(execution.tool)
        if definition is None:
            if any(denial.name == execution.tool for denial in known.snapshot.document.denials):
                return None
            names = ", ".join(sorted(known.tools)) or "none"
            return f"There is no tool {execution.tool!r}. The tools are: {names}."
        fault = check_arguments(definition, execution.arguments)
        grant = known.snapshot.grant_for(execution.tool)
        if grant is not None and fault is None:
            fault = resource_fault(known.snapshot, grant, execution.arguments)
        return f"The arguments do not fit {execution.tool!r}: {fault}" if fault else None

    async def digest_now(self, known: KnownRun, execution: ToolExecution) -> str | None:
        """The digest of the tool's definition as it is now; None where it is gone, or was never granted."""
        grant = known.snapshot.grant_for(execution.tool)
        return await self._sources.digest_now(known, grant) if grant else None

    async def decide(
        self, known: KnownRun, standing: Standing, definition_digest: str | None
    ) -> Allow | Ask | Deny:
        """The gate: grant, definition and policy, with the arguments; the stricter answer wins."""
        execution = standing.execution
        grant = known.snapshot.grant_for(execution.tool)
        facts = ToolCallFacts(
            tool=execution.tool,
            definition_digest=definition_digest,
            arguments=execution.arguments,
            now=standing.now,
        )
        policy = await self.policy(known.snapshot.document.policy_digest)
        if grant is None:
            denied = next(d for d in known.snapshot.document.denials if d.name == execution.tool)
            answer = Deny(rule=denied.rule, reason=denied.reason)
            return ruled(answer, facts, policy.digest, None, None)
        through = resource_of(known.snapshot, grant, execution.arguments)
        asker = outward(known.snapshot, acting(grant, through))
        question = question_for(
            known.snapshot,
            asker,
            execution.arguments,
            roles=standing.roles,
            labels=standing.labels,
            project=known.record.tenant.project_id,
        )
        verdict = policy.decide(question)
        answer = gate(known.snapshot, facts, verdict)
        answer = ruled(answer, facts, policy.digest, verdict, question)
        if answer.ruling is not None:
            told = answer.ruling.model_dump(include={"question", "verdict"})
            await self._shadow.compare(known.record, execution.id, [told])
        if not isinstance(answer, Ask):
            return answer
        rules = (*verdict.rules, *(grant.rules if grant.approval == "ask" else ()))
        asked = ask_whom(answer, rules, policy.annotations)
        if isinstance(asked, Deny):
            return ruled(asked, facts, policy.digest, verdict, question)
        if not may_turn(asked, rules, policy.forbids):
            return asked
        allowed = await self._allowed_before(known, execution, asked)
        return asked if allowed is None else ruled(allowed, facts, policy.digest, verdict, question)

    async def _allowed_before(self, known: KnownRun, execution: ToolExecution, ask: Ask) -> Allow | None:
        """The answer of a standing permission of the run's principal, or of its project."""
        if execution.tool != TOOL:
            return None
        tenant, principal = known.record.tenant, known.snapshot.document.principal
        held = await self._database.read(lambda c: holding(c, tenant, principal, TOOL))
        found = covering(held, execution.arguments)
        return None if found is None else turned(ask, found)

    def envelope(self, known: KnownRun, doing: Doing, prepared: Prepared) -> Envelope:
        document = known.snapshot.document
        target = (document.target or {}).get("name")
        return envelope_of(
            Facts(
                run_id=doing.execution.run_id,
                snapshot_id=known.snapshot.id,
                policy_digest=document.policy_digest,
                definition=doing.grant.definition,
                definition_digest=doing.definition_digest or "",
                tool_execution_id=doing.execution.id,
                arguments=doing.execution.arguments,
                target=target if isinstance(target, str) else None,
                cwd=prepared.cwd,
                environment=prepared.environment,
                files=prepared.files,
                push=prepared.push,
            )
        )

    async def policy(self, digest: str) -> Policy:
        """The version that a snapshot pins."""
        found = self._policies.get(digest)
        if found is None:
            kept = await self._database.read(lambda connection: snapshots.policy_text(connection, digest))
            if kept is None:
                raise Refused("policy.missing", f"the policy {digest} is not kept")
            found = self._policies[digest] = Policy.restore(kept.encode())
            if found.digest != digest:
                raise Refused("policy.changed", f"what is kept as the policy {digest} is another text")
            while len(self._policies) > KEPT:
                self._policies.popitem(last=False)
        return found
