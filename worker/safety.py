"""Safety rules at work: a text is looked at by the rules of its stage, and what they decided is kept."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from capabilities.gate import Allow, Ask, Deny
from capabilities.safety import Effective, effective, reasons
from harness.state import Ending
from protocol.block import InputBlock, text_of
from protocol.digest import digest_bytes
from protocol.errors import Refused
from protocol.ids import BlockId, RunId
from protocol.noun import Noun
from protocol.safety import STRICTEST, Disposition, SafetyDecision, SafetyProfile, SafetyRule, Stage
from protocol.strict import parse
from protocol.tool import ToolExecution
from providers import safety_hook
from records import blocks, budgets, safety, snapshots
from records.database import Database
from records.run_record import RunRecord
from records.tx import Tx
from records.writer import Writer
from worker.act import Result, failure
from worker.known_runs import KnownRun

KEPT = 64
NO_PROFILE = "default@1"
"""What the snapshots of runs name that were opened before there were rules."""

BLOCKED = Ending(
    status="failed",
    stop_reason="safety_blocked",
    code="safety.policy_denied",
    message="a safety rule blocked it; GET /v1/runs/{id}/safety-decisions tells which",
)


class Finding(Noun):
    """The strictest of what the rules of a stage decided; `rule` is the one that did."""

    disposition: Disposition = "allow"
    rule: str = ""
    reasons: tuple[str, ...] = ()


class Safety:
    """`redact` masks every secret that this process knows by value."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        declared: Mapping[str, SafetyProfile],
        redact: Callable[[str], str],
    ) -> None:
        self._database = database
        self._writer = writer
        self._declared = declared
        self._redact = redact
        self._kept = OrderedDict({NO_PROFILE: Effective(name="default", rules=())})

    def profile_for(self, record: RunRecord) -> Effective:
        """What a run is given when it is opened; from then on its snapshot names the version."""
        name = record.request.safety.profile
        found = effective(name, self._declared)
        if found is None:
            raise Refused("safety.unknown_profile", f"there is no safety profile {name!r}")
        return found

    async def rules(self, known: KnownRun, stage: Stage) -> tuple[SafetyRule, ...]:
        profile = await self._profile(known)
        if not any(rule.stage == stage for rule in profile.rules):
            return ()
        actor: str | None = None
        if any(rule.actors for rule in profile.rules):
            session = known.record.run.session_id
            actor = await self._database.read(lambda connection: budgets.actor_of(connection, session))
        return profile.of(stage, actor)

    async def inputs(self, known: KnownRun, incoming: Sequence[str]) -> Finding:
        """What people said to the run, each of their words once."""
        rules = await self.rules(known, "input")
        if not rules:
            return Finding()
        record = known.record
        _, head = await self._database.read(lambda connection: blocks.head(connection, record.history))
        sent = await self._database.read(lambda c: blocks.by_ids(c, [BlockId(one) for one in incoming]))
        own = [one for one in (*head, *sent) if isinstance(one, InputBlock) and one.run_id == record.run.id]
        found = [await self._look(known, "input", rules, one.id, text_of(one.content)) for one in own]
        return _strictest(found)

    async def tightened(
        self, known: KnownRun, execution: ToolExecution, verdict: Allow | Ask
    ) -> Allow | Ask | Deny:
        """The gate's answer after a look at the arguments."""
        rules = await self.rules(known, "tool")
        subject = f"{execution.id}:arguments:{execution.edits}"
        text = json.dumps(execution.arguments, ensure_ascii=False)
        found = await self._look(known, "tool", rules, subject, text)
        reason = f"a safety rule found {', '.join(found.reasons)}"
        if found.disposition == "block":
            return Deny(rule=f"safety.{found.rule}", reason=reason)
        if found.disposition == "checkpoint" and isinstance(verdict, Allow):
            return Ask(rule=f"safety.{found.rule}", reason=reason)
        return verdict

    async def result(self, known: KnownRun, execution: ToolExecution, result: Result) -> Result:
        """A result as the model may see it: labelled where something was found, withheld where blocked; a
        secret of ours that somebody echoes is found, and masked all the same."""
        rules = await self.rules(known, "tool")
        subject = f"{execution.id}:result:{execution.attempt}"
        found = await self._look(known, "tool", rules, subject, result.text)
        result = result.model_copy(update={"text": self._redact(result.text)})
        if found.disposition == "allow":
            return result
        if found.disposition == "block":
            text = f"The result is withheld by the safety rule {found.rule}: {', '.join(found.reasons)}."
            return failure(text).model_copy(update={"effect": result.effect, "labels": result.labels})
        return result.model_copy(update={"labels": (*result.labels, "untrusted")})

    async def output(self, known: KnownRun, rules: Sequence[SafetyRule], subject: str, text: str) -> Finding:
        return await self._look(known, "output", rules, subject, text)

    async def _look(
        self, known: KnownRun, stage: Stage, rules: Sequence[SafetyRule], subject: str, text: str
    ) -> Finding:
        """A detector elsewhere may change its mind, so what it said of a text is not asked again."""
        run_id = known.record.run.id
        elsewhere = any(rule.url for rule in rules)
        made = await self._database.read(lambda c: safety.of_subject(c, run_id, subject)) if elsewhere else []
        decided = {one.rule for one in made}
        left = [rule for rule in rules if rule.name not in decided]
        seen = await asyncio.gather(*(self._detect(rule, stage, run_id, text) for rule in left))
        found = [
            Finding(disposition=disposition, rule=rule.name, reasons=why)
            for rule, (disposition, why) in zip(left, seen, strict=True)
            if disposition != "allow" or rule.url
        ]
        if found:
            profile, digest = known.snapshot.document.safety_profile, digest_bytes(text.encode())

            def unit(tx: Tx) -> None:
                common: dict[str, Any] = {"run_id": run_id, "stage": stage, "subject": subject, "at": tx.now}
                common |= {"profile": profile, "text_digest": digest}
                safety.keep(tx, [SafetyDecision(**common, **one.model_dump()) for one in found])

            await self._writer.commit(unit, runs=[run_id])
        before = (Finding.model_validate(one.model_dump(include=set(Finding.model_fields))) for one in made)
        return _strictest((*before, *found))

    async def _detect(
        self, rule: SafetyRule, stage: Stage, run_id: RunId, text: str
    ) -> tuple[Disposition, tuple[str, ...]]:
        if rule.url is None:
            found = reasons(rule.detector, text, self._redact)
            return (rule.disposition, found) if found else ("allow", ())
        question = {"run_id": run_id, "stage": stage, "rule": rule.name, "text": text}
        said = await safety_hook.ask(rule.url, {**question}, rule.timeout_ms)
        if said is None:
            return "block", (safety_hook.UNANSWERED,)
        return (rule.disposition, said.reasons or ("webhook.flagged",)) if said.flagged else ("allow", ())

    async def _profile(self, known: KnownRun) -> Effective:
        """The version that the snapshot pins, whatever stands in the file by now."""
        version = known.snapshot.document.safety_profile
        found = self._kept.get(version)
        if found is None:
            wanted = version.partition("@")[2]
            text = await self._database.read(lambda connection: snapshots.policy_text(connection, wanted))
            if text is None:
                raise Refused("safety.missing", f"the safety profile {version} is not kept")
            found = self._kept[version] = parse(Effective, text.encode())
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found


def _strictest(found: Iterable[Finding]) -> Finding:
    return max(found, key=lambda one: STRICTEST.index(one.disposition), default=Finding())
