"""The budget gate, pure: what a model call may take at most, and whether that fits what is left."""

from collections.abc import Sequence
from typing import Literal

from protocol.budget import Account, Amount
from protocol.model import ModelRequest
from protocol.noun import Noun

BYTES_PER_TOKEN = 3
TOKENS_PER_BLOCK = 8
FEWEST = 64
"""A call that may answer with less is not worth its input: the budget counts as used up."""

LEAST_MS = 1_000
"""And so is one that may take less time than this."""

TOLD = {"name", "description", "input_schema"}
SAID = {"content", "name", "arguments"}

StopReason = Literal["max_tokens", "max_cost", "timeout"]


class Estimate(Noun):
    """A call before it is made: its input, the most that it may answer, the price of both, and the most time.

    Prices are None where the model has none; then no budget in dollars governs the call.
    """

    input_tokens: int
    output_tokens: int
    input_nanos: int | None = None
    output_nanos: int | None = None
    ms: int = 0

    def amount(self, output: int, ms: int | None = None) -> Amount:
        """What the call takes with that much output and time, rounded up."""
        nanos = (self.input_nanos or 0) + -(-(self.output_nanos or 0) * output // self.output_tokens)
        return Amount(tokens=self.input_tokens + output, nanos=nanos, ms=self.ms if ms is None else ms)


class Fits(Noun):
    """The call may be made, with at most so much output, and in so much time."""

    output: int
    ms: int = 0


class Busy(Noun):
    """It would fit, were it not for calls that are under way: what they do not use comes back."""


class Exceeded(Noun):
    reason: StopReason


def estimated_input(request: ModelRequest) -> int:
    """Tokens of a request, by its size: a byte-pair token has three bytes or more in most texts."""
    size = len(request.instructions.encode())
    size += sum(len(tool.model_dump_json(include=TOLD)) for tool in request.tools)
    size += sum(len(block.model_dump_json(include=SAID).encode()) for block in request.blocks)
    return -(-size // BYTES_PER_TOKEN) + TOKENS_PER_BLOCK * len(request.blocks)


def fit(estimate: Estimate, account: Account) -> Fits | Busy | Exceeded:
    """Output and time are cut to what is left; they are never cut for what others merely hold."""
    alone, reason = _room(estimate, account, Amount())
    if alone < min(FEWEST, estimate.output_tokens):
        return Exceeded(reason=reason)
    ms = _time(estimate, account, Amount())
    if ms < min(LEAST_MS, estimate.ms):
        return Exceeded(reason="timeout")
    beside, _ = _room(estimate, account, account.held)
    fits = beside >= alone and _time(estimate, account, account.held) >= ms
    return Fits(output=alone, ms=ms) if fits else Busy()


def narrowest(found: Sequence[Fits]) -> Fits:
    return Fits(output=min(one.output for one in found), ms=min(one.ms for one in found))


def _time(estimate: Estimate, account: Account, held: Amount) -> int:
    if account.max_ms is None:
        return estimate.ms
    return min(estimate.ms, account.max_ms - account.spent.ms - held.ms)


def _room(estimate: Estimate, account: Account, held: Amount) -> tuple[int, StopReason]:
    """The output that is left, and what limits it."""
    output, reason = estimate.output_tokens, "max_tokens"
    if account.max_tokens is not None:
        left = account.max_tokens - account.spent.tokens - held.tokens
        output = min(output, left - estimate.input_tokens)
    if account.max_nanos is not None:
        left = account.max_nanos - account.spent.nanos - held.nanos - (estimate.input_nanos or 0)
        affordable = _affordable(left, estimate)
        if affordable < output:
            output, reason = affordable, "max_cost"
    return output, reason


def _affordable(left: int, estimate: Estimate) -> int:
    if left < 0:
        return 0
    price = estimate.output_nanos or 0
    return estimate.output_tokens if price == 0 else left * estimate.output_tokens // price
