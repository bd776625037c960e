"""What people say to a checkpoint: who, when by the database's clock, what was shown; each answer a value."""

from collections.abc import Sequence
from datetime import timedelta

from protocol import event
from protocol.checkpoint import Checkpoint, Decision, DecisionVerb
from protocol.digest import digest, digest_bytes
from protocol.ids import CheckpointId, PrincipalId
from protocol.noun import JSON, JSONObject, Noun, rfc3339
from protocol.principal import Caller
from records import checkpoints
from records.tx import Tx


class Verdict(Noun):
    """What somebody says: the verb, and what belongs to it."""

    decision: DecisionVerb
    envelope_digest: str | None = None
    reason: str | None = None
    arguments: JSONObject | None = None
    answer: JSON = None
    expires_in_s: int | None = None


class Decided(Noun):
    """It counts; the checkpoint may still be open where more people are needed."""

    checkpoint: Checkpoint


class Closed(Noun):
    """Something else was decided before."""

    checkpoint: Checkpoint


class Expired(Noun):
    checkpoint: Checkpoint


class DigestMismatch(Noun):
    """What was approved is not what would be done."""

    checkpoint: Checkpoint


class WrongVerb(Noun):
    """This kind of checkpoint is not answered like that; a client tool's result has a path of its own."""

    checkpoint: Checkpoint


class RoleMissing(Noun):
    role: str


class IsRequester(Noun):
    """Whose run asks may not be who agrees."""


class NoSuchCheckpoint(Noun):
    pass


Outcome = (
    Decided | Closed | Expired | DigestMismatch | WrongVerb | RoleMissing | IsRequester | NoSuchCheckpoint
)


class AtFault(Noun):
    """The first of several that cannot be decided like that."""

    index: int
    outcome: Outcome


_CLOSES = {"approve": "approved", "deny": "denied", "answer": "answered"}
_NOT_FOR = {
    **dict.fromkeys(("approval", "handoff", "budget"), ("answer",)),
    "client_tool": ("approve", "revoke", "answer"),
}


def decide(tx: Tx, caller: Caller, checkpoint_id: CheckpointId, verdict: Verdict) -> Outcome:
    """Under the lock of the checkpoint's run."""
    checkpoint = checkpoints.get(tx.connection, caller.tenant, checkpoint_id)
    settled = _settled(tx, caller, checkpoint, verdict)
    if checkpoint is None or settled is not None:
        return settled or NoSuchCheckpoint()
    if verdict.decision == "revoke":
        return _revoke(tx, caller, checkpoint, verdict)
    if verdict.decision == "defer":
        return _defer(tx, caller, checkpoint, verdict)
    return count(tx, caller, checkpoint, verdict)


def decide_all(
    tx: Tx, caller: Caller, verdicts: Sequence[tuple[CheckpointId, Verdict]]
) -> tuple[Checkpoint, ...] | AtFault:
    """One decision over several, each judged as alone, under the locks of all their runs: all of them count,
    or nothing is changed."""
    for index, (checkpoint_id, verdict) in enumerate(verdicts):
        checkpoint = checkpoints.get(tx.connection, caller.tenant, checkpoint_id)
        settled = _settled(tx, caller, checkpoint, verdict)
        if settled is not None and not isinstance(settled, Decided):
            return AtFault(index=index, outcome=settled)
    decided: list[Checkpoint] = []
    for checkpoint_id, verdict in verdicts:
        outcome = decide(tx, caller, checkpoint_id, verdict)
        if not isinstance(outcome, Decided):
            raise RuntimeError(f"{checkpoint_id} changed under the lock of its run")
        decided.append(outcome.checkpoint)
    return tuple(decided)


def _settled(tx: Tx, caller: Caller, checkpoint: Checkpoint | None, verdict: Verdict) -> Outcome | None:
    """The answer that needs no change: a refusal, or the same decision again; None where it is to be made."""
    if checkpoint is None:
        return NoSuchCheckpoint()
    role = checkpoint.required.role
    if role is not None and role not in caller.roles:
        return RoleMissing(role=role)
    if checkpoint.required.not_requester and caller.principal_id == checkpoint.requested_by:
        return IsRequester()
    if verdict.decision in _NOT_FOR.get(checkpoint.kind, ("approve", "revoke")):
        return WrongVerb(checkpoint=checkpoint)
    if checkpoint.kind != "approval" and checkpoint.is_edit(verdict.arguments):
        return WrongVerb(checkpoint=checkpoint)
    if verdict.decision == "approve" and verdict.envelope_digest != checkpoint.envelope_digest:
        return DigestMismatch(checkpoint=checkpoint)
    if verdict.decision == "revoke":
        return Decided(checkpoint=checkpoint) if checkpoint.status == "revoked" else None
    if checkpoint.status != "open":
        return _decided_before(checkpoint, caller, verdict)
    return Expired(checkpoint=checkpoint) if checkpoint.expires_at <= tx.now else None


def count(tx: Tx, caller: Caller, checkpoint: Checkpoint, verdict: Verdict) -> Outcome:
    """One voice; an approval needs as many different principals as its rule says. Other arguments close it at
    once: what they authorize is asked anew."""
    edited = checkpoint.is_edit(verdict.arguments)
    voices = {one.by for one in checkpoint.decisions if one.decision == verdict.decision}
    if caller.principal_id in voices and not edited:
        return Decided(checkpoint=checkpoint)
    _record(tx, caller, checkpoint, verdict)
    if verdict.decision == "approve" and not edited and checkpoint.approvals + 1 < checkpoint.required.count:
        return _now(tx, checkpoint)
    closed = _CLOSES[verdict.decision]
    if not checkpoints.move(tx, checkpoint, "open", closed):  # pyright: ignore[reportArgumentType]
        return Closed(checkpoint=checkpoint)
    checkpoints.tell(tx, checkpoint)
    return _now(tx, checkpoint)


def _record(tx: Tx, caller: Caller, checkpoint: Checkpoint, verdict: Verdict) -> None:
    decision = Decision(
        decision=verdict.decision,
        by=caller.principal_id,
        by_name=caller.name,
        auth_method=caller.auth_method,
        at=tx.now,
        envelope_digest=checkpoint.envelope_digest,
        rendered_digest=digest_bytes(checkpoint.rendered.encode()),
        reason=verdict.reason,
        arguments=verdict.arguments,
        answer=verdict.answer,
    )
    checkpoints.add_decision(tx, checkpoint, decision)
    if verdict.decision in ("defer", "revoke"):
        return
    edited, needed = checkpoint.is_edit(verdict.arguments), checkpoint.required.count
    counted = verdict.decision == "approve" and not edited and needed > 1
    body = event.CheckpointDecided(
        checkpoint_id=checkpoint.id,
        kind=checkpoint.kind,
        envelope_digest=checkpoint.envelope_digest,
        arguments_digest=digest(verdict.arguments) if edited else None,
        decision=verdict.decision,
        by=caller.principal_id,
        approvals=checkpoint.approvals + 1 if counted else None,
        approvals_needed=needed if counted else None,
    )
    number = len(checkpoint.decisions) + 1
    tx.append(checkpoint.run_id, body, key=f"checkpoint:{checkpoint.id}:decision:{number}")


def _decided_before(checkpoint: Checkpoint, caller: Caller, verdict: Verdict) -> Outcome:
    """The same decision again is accepted; an answer or an edit is the same only where its content is."""
    if checkpoint.status == "expired":
        return Expired(checkpoint=checkpoint)
    edited = checkpoint.edited if verdict.decision == "approve" else None
    if edited is not None and checkpoint.decisions[-1].decision == "approve":
        same = verdict.arguments is not None and digest(verdict.arguments) == digest(edited)
        return Decided(checkpoint=checkpoint) if same else Closed(checkpoint=checkpoint)
    if verdict.decision == "approve" and checkpoint.is_edit(verdict.arguments):
        return Closed(checkpoint=checkpoint)
    ends = {"approved": "approve", "redeemed": "approve", "denied": "deny", "answered": "answer"}
    same = ends.get(checkpoint.status) == verdict.decision
    if same and verdict.decision == "answer":
        same = any(one.answer == verdict.answer for one in checkpoint.decisions if one.decision == "answer")
    return Decided(checkpoint=checkpoint) if same else Closed(checkpoint=checkpoint)


def _defer(tx: Tx, caller: Caller, checkpoint: Checkpoint, verdict: Verdict) -> Outcome:
    """It stays open, until a later moment."""
    left = verdict.expires_in_s
    expires_at = checkpoint.expires_at if left is None else tx.now + timedelta(seconds=left)
    if not checkpoints.move(tx, checkpoint, "open", "open", expires_at=expires_at):
        return Closed(checkpoint=checkpoint)
    _record(tx, caller, checkpoint, verdict)
    body = event.CheckpointDeferred(
        checkpoint_id=checkpoint.id,
        kind=checkpoint.kind,
        expires_at=rfc3339(expires_at),
        by=PrincipalId(caller.principal_id),
    )
    tx.append(checkpoint.run_id, body)
    checkpoints.tell(tx, checkpoint)
    return _now(tx, checkpoint)


def _revoke(tx: Tx, caller: Caller, checkpoint: Checkpoint, verdict: Verdict) -> Outcome:
    if not checkpoints.revoke(tx, checkpoint):
        return Closed(checkpoint=checkpoint)
    _record(tx, caller, checkpoint, verdict)
    checkpoints.tell(tx, checkpoint)
    return _now(tx, checkpoint)


def _now(tx: Tx, checkpoint: Checkpoint) -> Decided:
    after = checkpoints.load(tx.connection, checkpoint.id)
    return Decided(checkpoint=after or checkpoint)
