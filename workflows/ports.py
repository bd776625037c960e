"""The ports of a run: activity signatures whose bodies stand in `worker/`."""

from temporalio import activity

from workflows.messages import (
    ActResult,
    Expiry,
    ExpiryCheck,
    Heard,
    InterruptOrder,
    Listen,
    Look,
    Looked,
    ModelTurn,
    Opening,
    Pause,
    Placing,
    Resume,
    RunEnd,
    RunRef,
    StepRef,
    ToolAct,
    ToolRedeem,
    TreeResult,
    TurnResult,
)


class Runs:
    """The life of a run: claimed and resolved, told to wait, interrupted, ended."""

    @activity.defn(name="open_run")
    async def open(self, ref: RunRef) -> Opening:
        raise NotImplementedError

    @activity.defn(name="listen")
    async def listen(self, order: Listen) -> Heard:
        raise NotImplementedError

    @activity.defn(name="pause")
    async def pause(self, order: Pause) -> None:
        raise NotImplementedError

    @activity.defn(name="resume")
    async def resume(self, order: Resume) -> None:
        raise NotImplementedError

    @activity.defn(name="take_up_interrupt")
    async def take_up(self, order: InterruptOrder) -> None:
        raise NotImplementedError

    @activity.defn(name="expire_checkpoint")
    async def expire(self, order: ExpiryCheck) -> Expiry:
        raise NotImplementedError

    @activity.defn(name="end_run")
    async def end(self, order: RunEnd) -> None:
        raise NotImplementedError


class ModelCalls:
    """One activity per model call; its retries are attempts that the stream tells apart."""

    @activity.defn(name="call_model")
    async def call(self, turn: ModelTurn) -> TurnResult:
        raise NotImplementedError


class ToolCalls:
    """One activity per tool execution: prepare, gate, claim, act, commit."""

    @activity.defn(name="act")
    async def act(self, order: ToolAct) -> ActResult:
        raise NotImplementedError

    @activity.defn(name="redeem")
    async def redeem(self, order: ToolRedeem) -> ActResult:
        raise NotImplementedError


class Boxes:
    """The workspace of a run: made or rebuilt, saved after a step that wrote, given back."""

    @activity.defn(name="materialize")
    async def materialize(self, ref: RunRef) -> Placing:
        raise NotImplementedError

    @activity.defn(name="save_tree")
    async def save_tree(self, ref: StepRef) -> TreeResult:
        raise NotImplementedError

    @activity.defn(name="release_box")
    async def release(self, ref: StepRef) -> TreeResult:
        raise NotImplementedError


class Looks:
    """A look into the saved work tree of a run, for whoever renders it."""

    @activity.defn(name="look_into_tree")
    async def look(self, order: Look) -> Looked:
        raise NotImplementedError
