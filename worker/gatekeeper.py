"""The one decision point of the acting process: a call against its snapshot and the policy that it pins."""

from collections import OrderedDict

from capabilities.arguments import check_arguments
from capabilities.catalogue import Catalogue
from capabilities.envelope import Act as Facts
from capabilities.envelope import envelope_of
from capabilities.gate import Allow, Ask, Deny, ToolCallFacts, gate, question_for
from capabilities.policy import Policy
from protocol.capability import Grant
from protocol.checkpoint import Envelope
from protocol.errors import Refused
from protocol.tool import ToolExecution
from records import snapshots
from records.database import Database
from worker.act import Doing, Prepared
from worker.known_runs import KnownRun, Standing

KEPT = 32


class Gatekeeper:
    """Fit, gate and envelope of a call; policies are compiled once per digest."""

    def __init__(self, database: Database, catalogue: Catalogue, current: Policy) -> None:
        self._database = database
        self._catalogue = catalogue
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
        return f"The arguments do not fit {execution.tool!r}: {fault}" if fault else None

    async def decide(self, known: KnownRun, standing: Standing) -> Allow | Ask | Deny:
        """The gate: grant, definition and policy, with the arguments; the stricter answer wins."""
        execution = standing.execution
        grant = known.snapshot.grant_for(execution.tool)
        facts = ToolCallFacts(
            tool=execution.tool,
            definition_digest=self._definition_now(execution, grant),
            arguments=execution.arguments,
            now=standing.now,
        )
        policy = await self._policy(known.snapshot.document.policy_digest)
        if grant is None:
            denied = next(d for d in known.snapshot.document.denials if d.name == execution.tool)
            return Deny(rule=denied.rule, reason=denied.reason)
        question = question_for(known.snapshot, grant, execution.arguments, roles=standing.roles)
        verdict = policy.decide(question)
        return gate(known.snapshot, facts, verdict)

    def envelope(self, known: KnownRun, doing: Doing, prepared: Prepared) -> Envelope:
        document = known.snapshot.document
        target = (document.target or {}).get("name")
        return envelope_of(
            Facts(
                run_id=doing.execution.run_id,
                snapshot_id=known.snapshot.id,
                policy_digest=document.policy_digest,
                definition=doing.grant.definition,
                definition_digest=self._definition_now(doing.execution, doing.grant) or "",
                tool_execution_id=doing.execution.id,
                arguments=doing.execution.arguments,
                target=target if isinstance(target, str) else None,
                cwd=prepared.cwd,
                environment=prepared.environment,
                files=prepared.files,
                push=prepared.push,
            )
        )

    def _definition_now(self, execution: ToolExecution, grant: Grant | None) -> str | None:
        """The digest of the definition as it is now; a client tool's own is the one in the request."""
        if execution.source == "client":
            return grant.definition_digest if grant else None
        return self._catalogue.digest_of(execution.tool)

    async def _policy(self, digest: str) -> Policy:
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
