"""A worker that dies at each named point of the path of a tool call, for each effect class.

What must come of it stands in EXPECTED, written before the code was asked. A cell that cannot be is named.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.invariants import assert_standing_invariants
from tests.processes import until
from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer
from worker.failpoints import Point

pytestmark = [
    pytest.mark.temporal,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]

Class = Literal["read_only", "idempotent_write", "non_idempotent_write", "workspace"]

POINTS: tuple[Point, ...] = (
    "after_intent",
    "after_claim",
    "after_effect",
    "before_result",
    "before_event",
    "before_completion",
    "during_approval",
)
CLASSES: tuple[Class, ...] = ("read_only", "idempotent_write", "non_idempotent_write", "workspace")


@dataclass(frozen=True)
class Outcome:
    """`happened` counts the world's own lines, `epoch` the claims; `asks` where a person must find out."""

    happened: int
    epoch: int
    asks: bool = False


ONCE = Outcome(happened=1, epoch=1)
AGAIN = Outcome(happened=1, epoch=2)
TWICE = Outcome(happened=2, epoch=2)
UNKNOWN_UNDONE = Outcome(happened=0, epoch=2, asks=True)
UNKNOWN_DONE = Outcome(happened=1, epoch=2, asks=True)

EXPECTED: dict[Point, dict[Class, Outcome]] = {
    # Nothing was claimed: the next worker begins anew.
    "after_intent": dict.fromkeys(CLASSES, ONCE),
    # Claimed and not begun, which nobody can know: repeated where repeating is harmless.
    "after_claim": {
        "read_only": AGAIN,
        "idempotent_write": AGAIN,
        "non_idempotent_write": UNKNOWN_UNDONE,
        "workspace": AGAIN,
    },
    # Done and not told: our key makes the second try of an idempotent write nothing; a one-shot is never
    # repeated; reading twice is harmless, and what is confined to a workspace may be repeated in it.
    "after_effect": {
        "read_only": TWICE,
        "idempotent_write": AGAIN,
        "non_idempotent_write": UNKNOWN_DONE,
        "workspace": TWICE,
    },
    "before_result": {
        "read_only": TWICE,
        "idempotent_write": AGAIN,
        "non_idempotent_write": UNKNOWN_DONE,
        "workspace": TWICE,
    },
    # In the transaction of the result, which is not committed: as if it had not begun.
    "before_event": {
        "read_only": TWICE,
        "idempotent_write": AGAIN,
        "non_idempotent_write": UNKNOWN_DONE,
        "workspace": TWICE,
    },
    # Told and not reported: the next worker finds the result.
    "before_completion": dict.fromkeys(CLASSES, ONCE),
    # The question is in the records: it is asked once, and its answer is heard.
    "during_approval": dict.fromkeys(CLASSES, ONCE),
}
IMPOSSIBLE: dict[tuple[Point, Class], str] = {}
"""Cells that cannot be, each with its reason; here every class can be killed at every point."""

SCRIPT = "\n".join(
    f"""
[[scenarios]]
when = "^{effect}$"
[[scenarios.turns]]
text = "Now."
tool_calls = [{{ name = "count_{effect}" }}]
[[scenarios.turns]]
text = "done"
"""
    for effect in CLASSES
)


async def test_a_worker_that_dies_at_a_named_point_repeats_only_what_may_be_repeated(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path, repeats: int
) -> None:
    cells = {(point, effect) for point in POINTS for effect in CLASSES}
    assert cells - IMPOSSIBLE.keys() == {(point, effect) for point, row in EXPECTED.items() for effect in row}
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        await stack.start_worker()
        wrong: list[str] = []
        for number in range(repeats):
            for point, row in EXPECTED.items():
                for effect, expected in row.items():
                    found = await _kill_at(stack, point, effect)
                    if found != expected:
                        wrong.append(f"#{number} {point} x {effect}: {found}, expected {expected}")
        assert not wrong, "\n".join(wrong)
        await assert_standing_invariants(stack, stack.runs)


async def _kill_at(stack: Stack, point: Point, effect: Class) -> Outcome:
    """One run through one death; the next worker finishes it."""
    stack.arm(point, f"count_{effect}")
    approval = "ask" if point == "during_approval" else "auto"
    tool = {"kind": "tool", "name": f"count_{effect}", "approval": approval}
    run = await stack.create(effect, capabilities=[tool])
    worker = stack.workers[-1]
    await until(lambda: worker.ended, 60, f"{point} was not reached by {effect}\n{stack.logs()}")
    assert stack.fired(point)
    if point == "during_approval":
        await stack.decide(await stack.checkpoint(run), "approve")
    await stack.start_worker()
    told = await stack.until(
        run, lambda told: told if told[-1]["type"] == "run.completed" or _asks(told) else None
    )
    asks = _asks(told)
    if asks:
        checkpoint = await stack.checkpoint(run)
        assert checkpoint.kind == "outcome_unknown"
        if "non_idempotent" in (checkpoint.tool or ""):
            assert checkpoint.rendered.endswith("How it can be undone\n  | Take one off the counter.")
        done = len(stack.counted(told)) == 1
        await stack.decide(checkpoint, "answer", answer={"resolution": "succeeded" if done else "failed"})
    told = await stack.ended(run)
    (ledger,) = await stack.ledger(run)
    return Outcome(happened=len(stack.counted(told)), epoch=ledger.epoch, asks=asks)


def _asks(told: list[dict[str, object]]) -> bool:
    return any(event["kind"] == "outcome_unknown" for event in of_type(told, "checkpoint.opened"))
