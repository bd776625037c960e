"""The budget gate in front of a model call: what the call may take is held before it is made.

Nothing else of the call is begun in the transaction that finds that it does not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from sqlalchemy import Connection

from capabilities.budget import Busy, Estimate, Exceeded, Fits, estimated_input, fit, narrowest
from capabilities.placing import spending as spending_question
from capabilities.verdict import PolicyQuestion
from capabilities.visible import written
from harness.state import Ending
from protocol.budget import NANOS, Account, Amount, Budget, Payer, nanos, usd
from protocol.checkpoint import Checkpoint
from protocol.digest import digest
from protocol.errors import Refused
from protocol.ids import CallId, CheckpointId, derived
from protocol.model import ModelRequest
from protocol.noun import JSON, JSONObject, rfc3339
from protocol.run import Limits, LimitsPatch
from protocol.usage import Usage
from providers.registry import Resolved
from records import budgets, checkpoints, runs, spending, subruns, taints
from records.checkpoints import NewCheckpoint
from records.database import Database
from records.run_record import RunRecord
from records.tx import Tx
from worker.known_runs import KnownRun, asker_of
from worker.run_gate import RunGate
from workflows.messages import TurnAsked, TurnOver

AGAIN_S = 0.2
"""After so long a call looks again whether others of its budget have come to their end."""


@dataclass(frozen=True)
class Governed:
    """What limits a run's calls, and who pays; `in_tree` where what it takes is counted above it, or what is
    taken below it counts here."""

    budgets: tuple[Budget, ...]
    payer: Payer
    limits: Limits
    in_tree: bool


@dataclass(frozen=True)
class Held:
    """The call is paid for, with at most so much output, and so many seconds where time is limited."""

    output: int
    seconds: float | None


class Spending:
    """Holds, asks or stops, by all budgets that govern a run at once."""

    def __init__(
        self, database: Database, gate: RunGate, declared: budgets.Declared, expires_in_s: int
    ) -> None:
        self._database = database
        self._gate = gate
        self._declared = declared
        self._expires_in_ms = expires_in_s * 1000

    async def governing(self, known: KnownRun, call_id: CallId, resolved: Resolved) -> Governed | None:
        """None where nothing limits what the run's models take. Raises where the policy refuses the call."""
        record = known.record

        def query(connection: Connection) -> tuple[Governed | None, PolicyQuestion]:
            actor = budgets.actor_of(connection, record.run.session_id)
            found = budgets.governing(connection, record.tenant, actor, self._declared)
            limits = spending.limits_of(connection, record.run.id)
            question = spending_question(
                asker_of(connection, known),
                resolved.name,
                limits,
                host=resolved.host,
                actor=actor,
                labels=taints.of_history(connection, record.history),
            )
            in_tree = record.run.parent_run_id is not None or subruns.has_children(connection, record.run.id)
            limited = found or limits.max_tokens or limits.max_cost_usd or in_tree
            payer = Payer(run_id=next(iter(record.run.ancestor_run_ids), record.run.id), actor_id=actor)
            return Governed(tuple(found), payer, limits, in_tree) if limited else None, question

        governed, question = await self._database.read(query)
        if known.snapshot.document.model is not None:  # else it is older than the question
            await self._gate.check(known, call_id, question)
        return governed

    def reserve(
        self, tx: Tx, record: RunRecord, governed: Governed, call_id: CallId, attempt: int, estimate: Estimate
    ) -> Held | Busy | TurnAsked | TurnOver:
        run_id = record.run.id
        spending.charge(tx, run_id)
        chosen: list[Account] = []
        outputs: list[Fits] = []
        limiting = self._accounts(tx, record, governed)
        if governed.in_tree and subruns.are_turns_used(tx.connection, record, call_id):
            return TurnOver(ending=Ending(status="completed", stop_reason="max_turns"))
        for alternatives in limiting:
            account, answer = _first(estimate, alternatives)
            if isinstance(answer, Exceeded):
                refused = self._exceeded(tx, record, call_id, account, answer, estimate)
                if refused is not None:
                    return refused
                return self.reserve(tx, record, governed, call_id, attempt, estimate)
            if isinstance(answer, Busy):
                return answer
            chosen.append(account)
            outputs.append(answer)
        if runs.set_running(tx, run_id):
            checkpoints.cancel_open(tx, run_id)
        most = narrowest(outputs)
        spending.hold(tx, run_id, call_id, attempt, chosen, estimate.amount(most.output, most.ms))
        timed = any(account.max_ms is not None for account in chosen)
        return Held(most.output, most.ms / 1000 if timed else None)

    def _accounts(self, tx: Tx, record: RunRecord, governed: Governed) -> list[list[Account]]:
        """Each limit with what people granted the run beyond it: its own, those above it, the budgets."""
        run_id = record.run.id
        found = [[spending.of_run(tx, run_id, spending.limits_of(tx.connection, run_id))]]
        for above in reversed(record.run.ancestor_run_ids):
            account = spending.of_run(tx, above, spending.limits_of(tx.connection, above), of_other=True)
            found.append([account, *spending.raises_of(tx, run_id, account)])
        for budget in governed.budgets:
            account = spending.of_budget(tx, record.tenant, budget, governed.payer)
            found.append([account, *spending.raises_of(tx, run_id, account)])
        return found

    def _exceeded(
        self,
        tx: Tx,
        record: RunRecord,
        call_id: CallId,
        account: Account,
        exceeded: Exceeded,
        estimate: Estimate,
    ) -> TurnAsked | TurnOver | None:
        """None where somebody has agreed, and the account was raised."""
        status = "timed_out" if exceeded.reason == "timeout" else "completed"
        over = TurnOver(ending=Ending(status=status, stop_reason=exceeded.reason))
        if account.on_exceed == "stop":
            return over
        number = 0
        while True:
            asked = CheckpointId(derived("ckpt_", call_id, number, "budget", account.budget))
            checkpoint = checkpoints.load(tx.connection, asked)
            match checkpoint.status if checkpoint else None:
                case "redeemed" | "cancelled" | "revoked":
                    number += 1
                    continue
                case "approved":
                    assert checkpoint is not None
                    self._raise(tx, record, checkpoint, account)
                    return None
                case None | "open":
                    opened = checkpoint or checkpoints.open_checkpoint(
                        tx, self._question(record, asked, account, estimate)
                    )
                    if opened is None:
                        return over
                    return TurnAsked(checkpoint_id=asked, expires_at=rfc3339(opened.expires_at))
                case _:
                    return over

    def _raise(self, tx: Tx, record: RunRecord, checkpoint: Checkpoint, account: Account) -> None:
        """By exactly what was asked for; a run's own limits are raised as such."""
        amount = _asked(checkpoint.arguments or {})
        if not spending.grant_raise(tx, checkpoint, account.budget, amount):
            return
        if account.budget == spending.RUN:
            run_id = record.run.id
            limits = spending.limits_of(tx.connection, run_id)
            raised = _raised(account, amount).model_dump(exclude_none=True)
            runs.set_limits(tx, run_id, limits.model_copy(update=raised))

    def _question(
        self, record: RunRecord, asked: CheckpointId, account: Account, estimate: Estimate
    ) -> NewCheckpoint:
        need = estimate.amount(estimate.output_tokens)
        arguments: JSONObject = {"budget": account.budget, "tokens": need.tokens}
        if account.max_nanos is not None:
            arguments["cost_usd"] = usd(need.nanos)
        if account.max_ms is not None:
            arguments["seconds"] = need.ms / 1000
        return NewCheckpoint(
            id=asked,
            tenant=record.tenant,
            run_id=record.run.id,
            ancestor_run_ids=record.run.ancestor_run_ids,
            session_id=record.run.session_id,
            kind="budget",
            arguments=arguments,
            envelope_digest=digest({"checkpoint_id": asked, "run_id": record.run.id, **arguments}),
            rendered=_rendered(record, account, need),
            rule=f"budget.{account.budget}",
            requested_by=record.principal_id,
            expires_in_ms=self._expires_in_ms,
        )


def estimate(request: ModelRequest, resolved: Resolved) -> Estimate:
    """The most that a call may take; a price that has steps is taken at the whole call's size."""
    taken, most = estimated_input(request), resolved.max_output_tokens

    def price(output: int) -> int | None:
        usage = Usage(input_uncached=taken, output_total=output, total=taken + output)
        cost = resolved.prices.cost(resolved.wire_model, usage)
        return None if cost is None else ceil(cost * NANOS)

    start, whole = price(0), price(most)
    return Estimate(
        input_tokens=taken,
        output_tokens=most,
        input_nanos=start,
        output_nanos=None if start is None or whole is None else whole - start,
        ms=resolved.timeout_ms,
    )


def spent(usage: Usage, cost_usd: float | None) -> Amount:
    return Amount(tokens=usage.total, nanos=nanos(cost_usd or 0.0))


def check_price(governed: Governed, resolved: Resolved) -> None:
    """Raises where dollars are counted and the model's calls have no known price."""
    if resolved.priced:
        return
    counting = [f"the budget {one.name!r}" for one in governed.budgets if one.max_cost_usd is not None]
    if governed.limits.max_cost_usd:
        counting.append("the run's limit")
    if counting:
        message = f"{counting[0]} counts US dollars, and {resolved.name} has no known price"
        raise Refused("model.unpriced", message)


def _first(estimate: Estimate, alternatives: Sequence[Account]) -> tuple[Account, Fits | Busy | Exceeded]:
    """The first account that takes the call, else the budget itself and why it does not."""
    answers = [(account, fit(estimate, account)) for account in alternatives]
    return next((one for one in answers if isinstance(one[1], Fits)), answers[0])


def _asked(arguments: JSONObject) -> Amount:
    """What the checkpoint says."""
    return Amount(
        tokens=_whole(arguments.get("tokens")),
        nanos=round(_number(arguments.get("cost_usd")) * NANOS),
        ms=round(_number(arguments.get("seconds")) * 1000),
    )


def _raised(account: Account, amount: Amount) -> LimitsPatch:
    tokens = max(account.max_tokens or 0, account.spent.tokens) + amount.tokens
    cost = max(account.max_nanos or 0, account.spent.nanos) + amount.nanos
    return LimitsPatch(
        max_tokens=tokens if account.max_tokens is not None else None,
        max_cost_usd=usd(cost) if account.max_nanos is not None else None,
    )


def _rendered(record: RunRecord, account: Account, need: Amount) -> str:
    whose = (
        "The run's own limit" if account.budget == spending.RUN else f"The budget {written(account.budget)}"
    )
    lines = [f"{whose} does not cover the next call of the model {written(record.run.model)}."]
    if account.max_tokens is not None:
        lines.append(f"tokens: {account.spent.tokens} of {account.max_tokens} spent, {need.tokens} asked for")
    if account.max_nanos is not None:
        said, most, more = usd(account.spent.nanos), usd(account.max_nanos), usd(need.nanos)
        lines.append(f"US dollars: {said:.6f} of {most:.6f} spent, {more:.6f} asked for")
    if account.max_ms is not None:
        said, most, more = account.spent.ms / 1000, account.max_ms / 1000, need.ms / 1000
        lines.append(f"seconds: {said:.1f} of {most:.1f} spent, {more:.1f} asked for")
    lines.append("Approve lets this run go on by what is asked for; deny ends it.")
    return "\n".join(lines)


def _whole(value: JSON) -> int:
    return value if isinstance(value, int) else 0


def _number(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
