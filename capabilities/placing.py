"""The questions about a run itself: where it may be placed, and on which model it may spend."""

from collections.abc import Iterable

from capabilities.verdict import Asker, DecisionPoint, PolicyQuestion, Verdict, repository_facts
from protocol.budget import nanos
from protocol.capability import Denial, RepositoryGrant
from protocol.errors import Forbidden
from protocol.run import Limits, TargetChoice


def placing(
    asker: Asker,
    target: TargetChoice,
    repository: RepositoryGrant | None = None,
    *,
    host: str | None = None,
    actor: str | None = None,
) -> PolicyQuestion:
    """`host` is the engine that would make the box, where that is known."""
    return PolicyQuestion(
        principal=asker,
        tool=f"place:{target.name}",
        kind="place",
        source="target",
        effect="workspace",
        attributes=_named(target=target.name, host=host, actor=actor),
        target=target.kind,
        repository=repository_facts(repository),
    )


def spending(
    asker: Asker,
    model: str,
    limits: Limits,
    *,
    host: str | None = None,
    actor: str | None = None,
    labels: tuple[str, ...] = (),
) -> PolicyQuestion:
    """`host` is where the model is served, None where that is here."""
    most = {"max_tokens": limits.max_tokens, "max_cost_microusd": nanos(limits.max_cost_usd) // 1000}
    return PolicyQuestion(
        principal=asker,
        tool=f"spend:{model}",
        kind="spend",
        source="provider",
        effect="non_idempotent_write",
        attributes=_named(model=model, host=host, actor=actor),
        labels=labels,
        limits={name: value for name, value in most.items() if value},
    )


def refusals(policy: DecisionPoint, questions: Iterable[PolicyQuestion]) -> tuple[Denial, ...]:
    """What a snapshot keeps of a run that is not to be carried out."""
    asked = [(question, policy.decide(question)) for question in questions]
    return tuple(
        Denial(kind=question.kind, name=question.tool, rule=verdict.rule, reason=verdict.reason)
        for question, verdict in asked
        if verdict.answer != "allow"
    )


def check_refusals(denials: Iterable[Denial]) -> None:
    """Raises Forbidden where a run was not to be carried out when it was resolved."""
    for denial in denials:
        if denial.kind in ("place", "spend"):
            raise forbidden(denial)


def forbidden(refusal: Verdict | Denial) -> Forbidden:
    message = f"the rule {refusal.rule!r} refuses it: {refusal.reason}"
    return Forbidden("policy.denied", message, details={"rule": refusal.rule})


def _named(**attributes: str | None) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value is not None}
