"""What a receipt keeps of the gate and the resolver, and the tree over the chains of a project (RFC 6962)."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from capabilities.gate import Allow, Ask, Deny, ToolCallFacts
from capabilities.verdict import DecisionPoint, PolicyQuestion, Verdict
from protocol.noun import JSONObject
from protocol.receipt import Ruling, node_hash

A = TypeVar("A", bound=Allow | Ask | Deny)


class Noted:
    """A policy whose questions and verdicts are kept while a snapshot is resolved."""

    def __init__(self, policy: DecisionPoint) -> None:
        self._policy = policy
        self.asked: list[JSONObject] = []

    @property
    def digest(self) -> str:
        return self._policy.digest

    @property
    def engine(self) -> str:
        return self._policy.engine

    def decide(self, question: PolicyQuestion) -> Verdict:
        verdict = self._policy.decide(question)
        self.asked.append({"question": said(question), "verdict": short(verdict)})
        return verdict


def ruled(
    answer: A,
    call: ToolCallFacts,
    policy_digest: str,
    verdict: Verdict | None,
    question: PolicyQuestion | None,
) -> A:
    """The gate's answer with what it was decided from."""
    word = "allow" if isinstance(answer, Allow) else "ask" if isinstance(answer, Ask) else "deny"
    ruling = Ruling(
        tool=call.tool,
        answer=word,
        rule=answer.rule,
        reason=answer.reason,
        policy_digest=policy_digest,
        definition_digest=call.definition_digest,
        verdict=short(verdict) if verdict else None,
        question=said(question) if question else None,
    )
    return answer.model_copy(update={"ruling": ruling})


class Tree(NamedTuple):
    """A Merkle tree that only grows, as far as its next root needs it: the roots of its full subtrees, the
    largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaf: bytes) -> "Tree":
        peaks, full = [*self.peaks, leaf], self.size
        while full & 1:
            right = peaks.pop()
            peaks[-1] = node_hash(peaks[-1], right)
            full >>= 1
        return Tree(self.size + 1, tuple(peaks))

    def root(self) -> bytes:
        """Of a tree that has at least one leaf."""
        *larger, found = self.peaks
        for peak in reversed(larger):
            found = node_hash(peak, found)
        return found


def root(hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree's root over leaf hashes, of which there is at least one."""
    if len(hashes) == 1:
        return hashes[0]
    split = _split(len(hashes))
    return node_hash(root(hashes[:split]), root(hashes[split:]))


def inclusion(hashes: Sequence[bytes], position: int) -> list[bytes]:
    """What proves that the leaf at `position` is in the tree, from the leaf upwards."""
    if len(hashes) == 1:
        return []
    split = _split(len(hashes))
    if position < split:
        return [*inclusion(hashes[:split], position), root(hashes[split:])]
    return [*inclusion(hashes[split:], position - split), root(hashes[:split])]


def consistency(hashes: Sequence[bytes], size: int) -> list[bytes]:
    """What proves that the tree over the first `size` leaves only grew into this one."""
    return _consistency(hashes, size, whole=True)


def _consistency(hashes: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(hashes):
        return [] if whole else [root(hashes)]
    split = _split(len(hashes))
    if size <= split:
        return [*_consistency(hashes[:split], size, whole=whole), root(hashes[split:])]
    return [*_consistency(hashes[split:], size - split, whole=False), root(hashes[:split])]


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def said(question: PolicyQuestion) -> JSONObject:
    """A question as receipts keep it."""
    return question.model_dump(mode="json", exclude_none=True)


def short(verdict: Verdict) -> JSONObject:
    """A verdict as receipts keep it."""
    return {"answer": verdict.answer, "rules": list(verdict.rules)}
