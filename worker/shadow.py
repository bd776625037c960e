"""The shadow: a candidate policy decides beside the one in force; where it differs is recorded, no more."""

from collections.abc import Sequence

from capabilities.policy import Policy
from capabilities.policy_layers import Layers
from capabilities.verdict import PolicyQuestion
from protocol.noun import JSONObject, Noun
from records import project_policies
from records.database import Database
from records.run_record import RunRecord
from records.shadow import Difference, keep
from records.tx import Tx
from records.writer import Writer


class _Said(Noun):
    """A verdict as it is kept."""

    answer: str
    rules: tuple[str, ...]


class Shadow:
    """`candidate` is None where no shadow is declared."""

    def __init__(self, database: Database, writer: Writer, candidate: Policy | None) -> None:
        self._database = database
        self._writer = writer
        self._layers = Layers(candidate) if candidate else None

    async def compare(self, record: RunRecord, execution: str, asked: Sequence[JSONObject]) -> None:
        """Ask the candidate, as the run's project tightens it, what was just asked: each a `question` with
        its `verdict`."""
        if self._layers is None:
            return
        tenant = record.tenant
        holding = await self._database.read(lambda c: project_policies.holding(c, tenant))
        candidate = self._layers.over([(one.name, one.text) for one in holding])
        found: list[Difference] = []
        for one in asked:
            question, said = (
                PolicyQuestion.model_validate(one["question"]),
                _Said.model_validate(one["verdict"]),
            )
            would = candidate.decide(question)
            if would.answer == said.answer:
                continue
            found.append(
                Difference(
                    **record.tenant.model_dump(),
                    run_id=record.run.id,
                    execution=execution,
                    tool=question.tool,
                    candidate=candidate.digest,
                    answer=said.answer,
                    rule=said.rules[0],
                    would_answer=would.answer,
                    would_rule=would.rule,
                )
            )

        def unit(tx: Tx) -> None:
            for one in found:
                keep(tx, one)

        if found:
            await self._writer.commit(unit)
