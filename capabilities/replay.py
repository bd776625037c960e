"""What-if: questions that were once put to a policy, put to another one."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from capabilities.verdict import Answer, DecisionPoint, PolicyQuestion, Verdict


class Recorded(NamedTuple):
    """A verdict as it was: while a snapshot was resolved (`execution` None), or over a call."""

    run_id: str
    ordinal: int
    execution: str | None
    question: PolicyQuestion
    answer: Answer
    rules: tuple[str, ...]


class Change(NamedTuple):
    """A verdict that would be another one."""

    was: Recorded
    now: Verdict


class Replay:
    """Recorded verdicts under a candidate; equal questions are decided once."""

    def __init__(self) -> None:
        self.decided = 0
        self.by_other_rules = 0
        self._known: OrderedDict[tuple[str, str], Verdict] = OrderedDict()

    def changes(self, recorded: Iterable[Recorded], policy: DecisionPoint) -> Iterator[Change]:
        for was in recorded:
            self.decided += 1
            now = self._decide(was.question, policy)
            if now.answer != was.answer:
                yield Change(was, now)
            elif now.rules != was.rules:
                self.by_other_rules += 1

    def _decide(self, question: PolicyQuestion, policy: DecisionPoint) -> Verdict:
        key = (policy.digest, question.model_dump_json())
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = policy.decide(question)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


_KEPT = 4096
