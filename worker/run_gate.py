"""The gate in front of the run itself: where it is placed, and on which model it spends."""

from collections.abc import Awaitable, Callable

from capabilities.placing import forbidden
from capabilities.policy import Policy
from capabilities.receipts import said, short
from capabilities.verdict import PolicyQuestion
from protocol.receipt import Ruling
from records import receipts
from records.tx import Tx
from records.writer import Writer
from worker.known_runs import KnownRun


class RunGate:
    """Asks the policy that the run's snapshot pins; `policy` finds one by its digest."""

    def __init__(self, writer: Writer, policy: Callable[[str], Awaitable[Policy]]) -> None:
        self._writer = writer
        self._policy = policy

    async def check(self, known: KnownRun, subject: str, question: PolicyQuestion) -> None:
        """Raises for what is refused, once the run's receipt tells it; `subject` is the id of what is not
        done."""
        policy = await self._policy(known.snapshot.document.policy_digest)
        verdict = policy.decide(question)
        if verdict.answer == "allow":
            return
        run_id = known.record.run.id
        told = Ruling(
            tool=question.tool,
            answer="deny",
            rule=verdict.rule,
            reason=verdict.reason,
            policy_digest=policy.digest,
            verdict=short(verdict),
            question=said(question),
        )

        def unit(tx: Tx) -> None:
            if not tx.ended(run_id):
                receipts.ruled(tx, run_id, subject, told)

        await self._writer.commit(unit, runs=[run_id])
        raise forbidden(verdict)
