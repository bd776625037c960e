"""Stored histories of runs replay against the story of today, and a changed story is caught."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from harness.state import Ending
from protocol.ids import CheckpointId
from protocol.inbox import Interrupt
from tests.replay.record import FEATURES, HISTORIES
from workflows import options, ports
from workflows.messages import RunStart
from workflows.run import RunWorkflow
from workflows.signatures import WORKER_QUEUE

NAMES = [feature.__name__ for feature in FEATURES]


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, json.loads((HISTORIES / f"{name}.json").read_text()))


async def replay(story: type[Any], names: Sequence[str]) -> list[str]:
    """The features whose history the story cannot tell."""
    replayer = Replayer(
        workflows=[story],
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    broken: list[str] = []
    for name in names:
        result = await replayer.replay_workflow(history(name), raise_on_replay_failure=False)
        if result.replay_failure is not None:
            broken.append(name)
    return broken


@pytest.mark.parametrize("name", NAMES)
async def test_a_stored_history_can_still_be_told(name: str) -> None:
    assert await replay(RunWorkflow, [name]) == []


@workflow.defn(name="run")
class EndsTwice(RunWorkflow):
    """Says its end to another port first."""

    @workflow.init
    def __init__(self, start: RunStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunStart) -> None:
        await super().run(start)

    async def _end(self, ending: Ending) -> None:
        await workflow.execute_activity_method(
            ports.Boxes.release, self._ref, task_queue=WORKER_QUEUE, **options.WORK
        )
        await super()._end(ending)


@workflow.defn(name="run")
class ForgetsTheTree(RunWorkflow):
    """Does not save the work tree after a step that wrote."""

    @workflow.init
    def __init__(self, start: RunStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunStart) -> None:
        await super().run(start)

    async def _save_tree(self, step: int) -> None:
        self._state = self._state.model_copy(update={"open_step": None, "wrote": False, "calls": ()})


@workflow.defn(name="run")
class WaitsInSilence(RunWorkflow):
    """Does not tell that it waits for somebody."""

    @workflow.init
    def __init__(self, start: RunStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunStart) -> None:
        await super().run(start)

    async def _pause(self, asked: tuple[CheckpointId, ...]) -> None:
        self._clock.stop()
        self._told = asked


@workflow.defn(name="run")
class DropsTheInterrupt(RunWorkflow):
    """Goes on after an interrupt as if nothing had to be settled."""

    @workflow.init
    def __init__(self, start: RunStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunStart) -> None:
        await super().run(start)

    async def _take_up(self, interrupt: Interrupt) -> None:
        self._state = self._state.model_copy(update={"interrupt": None, "calls": (), "open_step": None})


@workflow.defn(name="run")
class PlacesFirst(RunWorkflow):
    """Asks for the box before the run is claimed: two ports swapped."""

    @workflow.init
    def __init__(self, start: RunStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunStart) -> None:
        await super().run(start)

    async def _open(self) -> bool:
        await self._materialize()
        opened = await super()._open()
        if isinstance(self._state.ending, Ending):
            return True
        return opened


@pytest.mark.parametrize(
    ("story", "told_by"),
    [
        (EndsTwice, "text"),
        (ForgetsTheTree, "workspace"),
        (WaitsInSilence, "approved"),
        (DropsTheInterrupt, "interrupted"),
        (PlacesFirst, "workspace"),
    ],
)
async def test_a_changed_story_is_caught(story: type[Any], told_by: str) -> None:
    assert await replay(story, NAMES) != []
    assert told_by in await replay(story, [told_by])


def test_every_kind_of_activity_stands_in_some_history() -> None:
    told = "".join((HISTORIES / f"{name}.json").read_text() for name in NAMES)
    kinds = ("open_run", "materialize", "call_model", "act", "redeem", "save_tree", "take_up_interrupt")
    assert [kind for kind in (*kinds, "end_run") if f'"{kind}"' not in told] == []
