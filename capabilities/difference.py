"""What changed between what two runs may do, and why: each change with the rule or fact that caused it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from protocol.capability import Denial, Grant, SnapshotDocument, label
from protocol.noun import Noun

T = TypeVar("T")
What = Literal["run", "policy", "request", "granted", "not_granted", "approval", "definition", "terms"]


class Change(Noun):
    """`why` is empty where the change speaks for itself."""

    what: What
    name: str
    words: str
    why: str = ""


def changes(before: SnapshotDocument, after: SnapshotDocument) -> tuple[Change, ...]:
    """In the order in which one follows from the other: who and where, rules, request, grants."""
    return (
        *_frame(before, after),
        *_request(before, after),
        *(change for name in _names(before, after) for change in _granted(before, after, name)),
    )


def _frame(before: SnapshotDocument, after: SnapshotDocument) -> Iterator[Change]:
    if before.policy_digest != after.policy_digest:
        words = f"the policy changed: {before.policy_digest} became {after.policy_digest}"
        yield Change(what="policy", name="policy", words=words)
    facts: tuple[tuple[str, Callable[[SnapshotDocument], object]], ...] = (
        ("principal", lambda document: document.principal),
        ("policy engine", lambda document: document.policy_engine),
        ("target", lambda document: document.target),
        ("model", lambda document: document.model),
        ("repository", lambda document: document.repository and document.repository.model_dump(mode="json")),
        ("safety profile", lambda document: document.safety_profile),
        ("assessment profile", lambda document: document.assessment_profile),
        ("parent", lambda document: document.parent and document.parent.digest),
        ("levels of subruns", lambda document: document.subruns and document.subruns.depth),
    )
    for name, fact in facts:
        old, new = fact(before), fact(after)
        if old != new:
            yield Change(what="run", name=name, words=f"the {name} changed: {old} became {new}")


def _request(before: SnapshotDocument, after: SnapshotDocument) -> Iterator[Change]:
    for one in after.requested:
        if one not in before.requested:
            words = f"{one.kind} {label(one)!r} was asked for in these words only by the later run"
            yield Change(what="request", name=label(one), words=words)
    for one in before.requested:
        if one not in after.requested:
            words = f"{one.kind} {label(one)!r} was asked for in these words only by the earlier run"
            yield Change(what="request", name=label(one), words=words)


def _granted(before: SnapshotDocument, after: SnapshotDocument, name: str) -> Iterator[Change]:
    old, new = _named(before.grants, name), _named(after.grants, name)
    if old is None and new is None:
        yield from _denied(before, after, name)
    elif old is None and new is not None:
        denied = _named(before.denials, name)
        how = "asks before each call" if new.approval == "ask" else "runs unattended"
        why = f"it was denied by {_rule(denied)}; now by {_rules(new)}" if denied else _rules(new)
        yield Change(what="granted", name=name, words=f"{name!r} is granted now and {how}", why=why)
    elif old is not None and new is None:
        denied = _named(after.denials, name)
        why = f"{_rule(denied)}: {denied.reason}" if denied else "it was not asked for"
        yield Change(what="not_granted", name=name, words=f"{name!r} is not granted any more", why=why)
    elif old is not None and new is not None:
        yield from _changed(old, new)


def _denied(before: SnapshotDocument, after: SnapshotDocument, name: str) -> Iterator[Change]:
    old, new = _named(before.denials, name), _named(after.denials, name)
    if new is not None and (old is None or old.rule != new.rule):
        was = f", before by {_rule(old)}" if old else ""
        words = f"{name!r} is denied{' for another reason' if old else ''}"
        yield Change(what="not_granted", name=name, words=words, why=f"{_rule(new)}: {new.reason}{was}")


def _changed(old: Grant, new: Grant) -> Iterator[Change]:
    name = new.name
    if old.approval != new.approval:
        tighter = new.approval == "ask"
        words = f"{name!r} {'asks before each call' if tighter else 'runs unattended'} now"
        yield Change(what="approval", name=name, words=words, why=f"{_rules(new)}; before {_rules(old)}")
    if old.source_identity != new.source_identity:
        words = f"{name!r} comes from {new.source_identity} now, not from {old.source_identity}"
        yield Change(what="definition", name=name, words=words)
    if old.definition_digest != new.definition_digest:
        parts = [
            part
            for part in type(old.definition).model_fields
            if getattr(old.definition, part) != getattr(new.definition, part)
        ]
        words = f"{name!r} has another definition: {', '.join(parts) or 'its source words it otherwise'}"
        yield Change(what="definition", name=name, words=words)
    for term in ("attributes", "argument_constraints", "hosts", "timeout_ms", "expires_at"):
        was, now = getattr(old, term), getattr(new, term)
        if was != now:
            words = f"{name!r}: {term} changed from {was} to {now}"
            yield Change(what="terms", name=name, words=words)


def _names(*documents: SnapshotDocument) -> list[str]:
    named = (part.name for document in documents for part in (*document.grants, *document.denials))
    return sorted(set(named))


def _named(parts: Sequence[T], name: str) -> T | None:
    return next((part for part in parts if getattr(part, "name", None) == name), None)


def _rules(grant: Grant) -> str:
    return f"the rule {', '.join(grant.rules)}" if grant.rules else "no rule is named"


def _rule(denial: Denial | None) -> str:
    return f"the rule {denial.rule}" if denial else "no rule"
