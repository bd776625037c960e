"""The story of a run: what the harness decides next, done through ports, until there is an ending.

Everything that is said to the run arrives as a wake-up without content; the words lie in its inbox.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from harness import loop
    from harness.state import BudgetWait, Ending, PendingCall, RunState
    from protocol.ids import CheckpointId, RunId, ToolExecutionId
    from protocol.inbox import InboxItem
    from protocol.run import Limits
    from workflows import messages, options, ports, subruns, tools, waits
    from workflows.clock import Clock
    from workflows.messages import RunRef, RunStart
    from workflows.signatures import RUN_WORKFLOW, WAKE, WORKER_QUEUE

T = TypeVar("T")


@workflow.defn(name=RUN_WORKFLOW)
class RunWorkflow:
    """One run, from its claim to its terminal event."""

    @workflow.init
    def __init__(self, start: RunStart) -> None:
        self._start, self._parent = start, start.parent_run_id
        self._ref = RunRef(run_id=start.run_id)
        self._state = start.state or RunState(run_id=start.run_id, limits=Limits())
        self._woken = start.state is not None
        self._hearing = asyncio.Lock()
        self._early: list[InboxItem] | None = [] if start.state is None else None
        self._clock = Clock(self._state.clock_ms)
        self._told: tuple[CheckpointId, ...] = ()
        self._lost = False
        self._idle_release_s = start.idle_release_s

    @workflow.signal(name=WAKE)
    def wake(self) -> None:
        self._woken = True

    @workflow.run
    async def run(self, start: RunStart) -> None:
        listening = asyncio.create_task(self._listen())
        watching = asyncio.create_task(self._watch_the_clock())
        try:
            if start.state is None and not await self._open():
                return
            await self._go_on()
        finally:
            listening.cancel()
            watching.cancel()

    async def _open(self) -> bool:
        opening = await self._stoppable(ports.Runs.open, self._ref, options.WORK)
        match opening:
            case messages.Opened():
                early, self._early = self._early or [], None
                self._state = opening.state
                for item in early:
                    self._take(item)
                self._idle_release_s = opening.idle_release_s
                if opening.said:
                    await self._hear()
            case messages.NotOpened(ending=None):
                return False
            case messages.NotOpened(ending=ending):
                self._state = self._state.model_copy(update={"ending": ending})
            case None:
                pass
        return True

    async def _go_on(self) -> None:
        while True:
            if waits.history_is_long():
                self._continue_as_new()
            match loop.next_step(self._state):
                case loop.Finish(ending=ending):
                    await self._end(ending)
                    return
                case loop.TakeUp(interrupt=interrupt):
                    await self._take_up(interrupt)
                case loop.Materialize():
                    await self._materialize()
                case loop.CallModel() as turn:
                    await self._call_model(turn)
                case loop.AwaitBudget(wait=wait):
                    await self._await_budget(wait)
                case loop.RunTools() as batch:
                    await self._run_tools(batch)
                case loop.SaveTree(step=step):
                    await self._save_tree(step)

    async def _call_model(self, turn: loop.CallModel) -> None:
        order = messages.ModelTurn(
            run_id=self._ref.run_id, step=turn.step, completes=turn.completes, incoming=turn.incoming
        )
        result = await self._stoppable(ports.ModelCalls.call, order, options.MODEL)
        match result:
            case messages.TurnDone():
                entered = set(turn.incoming)
                later = tuple(block for block in self._state.incoming if block not in entered)
                reply = loop.Reply(
                    calls=result.calls, tokens=result.tokens, cost_usd=result.cost_usd, finish=result.finish
                )
                self._state = loop.after_model(self._state.model_copy(update={"incoming": later}), reply)
            case messages.TurnFailed(ending=ending) | messages.TurnOver(ending=ending):
                self._state = loop.ended(self._state, ending)
            case messages.TurnAsked(checkpoint_id=checkpoint, expires_at=expires_at):
                wait = BudgetWait(checkpoint_id=checkpoint, expires_at=expires_at)
                self._state = loop.after_budget_asked(self._state, wait)
            case messages.TurnStopped() | None:
                self._state = self._state.model_copy(update={"step": turn.step})
                if result is not None:
                    await self._heed()

    async def _await_budget(self, wait: BudgetWait) -> None:
        """Until somebody decided, or raised the limits: then the call is tried anew."""

        def over() -> bool:
            return self._halted or self._state.budget != wait or waits.history_is_long()

        if not self._clock.stands:
            await self._pause((wait.checkpoint_id,))
        idle_s = self._idle_release_s if self._state.queue is not None else None
        match await waits.until(over, wait.expires_at, idle_s):
            case "idle":
                await self._release_box()
            case "due":
                expiry = await self._expire(wait.checkpoint_id)
                self._state = loop.after_budget_due(self._state, wait, expiry.expires_at)
            case "over":
                pass
        if self._state.budget is None:
            await self._unpause(by_call=True)

    async def _materialize(self) -> None:
        placing = await self._stoppable(ports.Boxes.materialize, self._ref, options.WORK)
        match placing:
            case messages.Placed(queue=queue):
                self._state = self._state.model_copy(update={"queue": queue})
            case messages.NotPlaced(ending=ending):
                self._state = loop.ended(self._state, ending)
            case None:
                pass

    async def _save_tree(self, step: int) -> None:
        ref = messages.StepRef(run_id=self._ref.run_id, step=step)
        saved = await self._stoppable(ports.Boxes.save_tree, ref, options.WORK, queue=self._state.queue)
        match saved:
            case messages.TreeSaved():
                self._state = loop.after_tree(self._state)
            case messages.TreeLost():
                self._state = loop.after_target_lost(self._state)
            case None:
                pass

    async def _run_tools(self, batch: loop.RunTools) -> None:
        self._lost = False
        groups = [[call] for call in batch.calls] if batch.parallel else [list(batch.calls)]
        tasks = [asyncio.create_task(self._carry_all(group)) for group in groups]
        try:
            await self._attend(tasks, parallel=batch.parallel)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
        if self._lost:
            self._state = loop.after_target_lost(self._state)

    async def _attend(self, tasks: list[asyncio.Task[None]], *, parallel: bool) -> None:
        """Tell when the run waits for somebody; while it waits long, give the box back."""

        def waiting_for() -> tuple[CheckpointId, ...]:
            return loop.waiting_for(self._state, parallel=parallel)

        def is_too_long() -> bool:
            return (self._clock.stands or loop.rests(self._state)) and waits.history_is_long()

        def changed() -> bool:
            return all(task.done() for task in tasks) or waiting_for() != self._told or is_too_long()

        while not all(task.done() for task in tasks):
            waiting = waiting_for()
            if waiting and waiting != self._told:
                await self._pause(waiting)
                continue
            idle = self._clock.stands and self._state.queue is not None
            try:
                timeout = timedelta(seconds=self._idle_release_s) if idle else None
                await workflow.wait_condition(changed, timeout=timeout)
            except TimeoutError:
                await self._release_box()
            if self._clock.stands and not waiting_for():
                await self._unpause()
            if is_too_long():
                self._continue_as_new()

    async def _carry_all(self, calls: list[PendingCall]) -> None:
        for call in calls:
            await self._carry(call.tool_execution_id)
            if self._halted or self._lost:
                return

    async def _carry(self, execution: ToolExecutionId) -> None:
        """One tool call to its result, through as many checkpoints as it takes."""
        while not self._halted and not self._lost:
            call = next(call for call in self._state.calls if call.tool_execution_id == execution)
            queue = self._queue_for(call)
            if call.phase == "done" or (queue is None and call.phase != "waiting"):
                return
            if call.phase == "waiting":
                await self._await_answer(call)
                continue
            if call.phase in ("spawned", "delegated") and call.child_run_id is not None:
                await self._await_subrun(call, call.child_run_id)
                continue
            result = await self._tool(call, queue)
            self._state = tools.noted(self._state, execution, result)
            if isinstance(result, messages.ActLost):
                self._lost = True
            if isinstance(result, messages.ActStopped):
                await self._heed()

    async def _tool(self, call: PendingCall, queue: str | None) -> messages.ActResult | None:
        """By the process that holds what the call goes on in, as long as it takes anything; else by any."""
        port, order = tools.ordered(self._ref.run_id, call)
        result = await self._stoppable(port, order, options.TOOL, queue=queue)
        if not isinstance(result, messages.ActHeld):
            return result
        result = await self._stoppable(port, order, options.HELD, queue=result.queue)
        if result is not None or self._halted:
            return result
        alone = order.model_copy(update={"alone": True})
        return await self._stoppable(port, alone, options.TOOL, queue=queue)

    async def _await_answer(self, call: PendingCall) -> None:
        """Until the answer is heard, or the deadline's own compare-and-set says that there is none."""
        checkpoint = call.checkpoint_id or CheckpointId("")

        def over() -> bool:
            waiting = (one.checkpoint_id for one in self._state.calls if one.phase == "waiting")
            return self._halted or self._lost or checkpoint not in waiting

        if await waits.until(over, call.expires_at) == "over":
            return
        expiry = await self._expire(checkpoint)
        if expiry.resolved:
            self._state = loop.after_answer(self._state, checkpoint)
        elif expiry.expires_at is not None:
            asked = loop.Asked(
                tool_execution_id=call.tool_execution_id,
                checkpoint_id=checkpoint,
                expires_at=expiry.expires_at,
            )
            self._state = loop.after_tool(self._state, asked)

    async def _await_subrun(self, call: PendingCall, child: RunId) -> None:
        """Until it is heard that the subrun has ended: then the call is taken up again."""
        if call.phase == "spawned":
            await subruns.begin(child, self._ref.run_id)
            self._state = loop.after_start(self._state, call.tool_execution_id)

        def over() -> bool:
            return self._halted or self._lost or child not in loop.subruns(self._state)

        await workflow.wait_condition(over)

    async def _expire(self, checkpoint: CheckpointId) -> messages.Expiry:
        check = messages.ExpiryCheck(run_id=self._ref.run_id, checkpoint_id=checkpoint)
        return await workflow.execute_local_activity_method(ports.Runs.expire, check, **options.RECORD)

    async def _pause(self, asked: tuple[CheckpointId, ...]) -> None:
        self._clock.stop()
        self._told = asked
        order = messages.Pause(run_id=self._ref.run_id, checkpoint_ids=asked, parent_run_id=self._parent)
        await workflow.execute_local_activity_method(ports.Runs.pause, order, **options.RECORD)
        await subruns.wake([self._parent])

    async def _unpause(self, *, by_call: bool = False) -> None:
        """Whoever takes an answer up tells that the run goes on, but for what was asked below it."""
        self._clock.go_on()
        self._told = ()
        if self._parent is not None or loop.spawned(self._state):
            order = messages.Resume(run_id=self._ref.run_id, parent_run_id=self._parent, by_call=by_call)
            await workflow.execute_local_activity_method(ports.Runs.resume, order, **options.RECORD)
            await subruns.wake([self._parent])

    async def _release_box(self) -> None:
        queue = self._state.queue
        self._state = self._state.model_copy(update={"queue": None})
        ref = messages.StepRef(run_id=self._ref.run_id, step=self._state.open_step or self._state.step)
        released = await self._stoppable(ports.Boxes.release, ref, options.WORK, queue=queue)
        self._lost = isinstance(released, messages.TreeLost)

    async def _take_up(self, interrupt: "loop.Interrupt") -> None:
        if self._clock.stands:
            await self._unpause()
        stopped = loop.subruns(self._state)
        order = messages.InterruptOrder(
            run_id=self._ref.run_id,
            step=self._state.step,
            behavior=interrupt.behavior,
            block_id=interrupt.block_id,
        )
        take_up = ports.Runs.take_up
        await workflow.execute_activity_method(take_up, order, task_queue=WORKER_QUEUE, **options.WORK)
        await subruns.wake(stopped)
        self._state = loop.after_take_up(self._state, interrupt)

    async def _end(self, ending: Ending) -> None:
        order = messages.RunEnd(run_id=self._ref.run_id, step=self._state.step, ending=ending)
        await workflow.execute_activity_method(ports.Runs.end, order, task_queue=WORKER_QUEUE, **options.WORK)
        await subruns.wake([self._parent, *loop.subruns(self._state)])

    async def _listen(self) -> None:
        while True:
            await workflow.wait_condition(lambda: self._woken)
            self._woken = False
            await self._hear()

    async def _hear(self) -> None:
        async with self._hearing:
            order = messages.Listen(run_id=self._ref.run_id, after=self._state.heard)
            heard = await workflow.execute_local_activity_method(ports.Runs.listen, order, **options.RECORD)
            for item in heard.items:
                self._take(item)

    def _take(self, item: InboxItem) -> None:
        if self._early is not None:
            self._early.append(item)
        state = loop.hear(self._state, item.message)
        self._state = state.model_copy(update={"heard": item.position})

    async def _heed(self) -> None:
        """A body was stopped by words that may not have been heard here yet: they are heard before anything
        else is begun. Where there are none, the run has ended without its story."""
        if not self._halted:
            await self._hear()
        if not self._halted:
            self._state = loop.failed(self._state, "engine.stopped", "the run was stopped from outside")

    async def _watch_the_clock(self) -> None:
        await self._clock.until(lambda: self._state.limits.timeout_ms)
        self._state = loop.timed_out(self._state)

    async def _stoppable(
        self,
        port: Callable[[Any, Any], Awaitable[T]],
        order: object,
        limits: options.Options,
        *,
        queue: str | None = None,
    ) -> T | None:
        """An activity that an ending or an interrupt cancels; None where that happened."""
        handle = workflow.start_activity_method(port, order, task_queue=queue or WORKER_QUEUE, **limits)
        await workflow.wait_condition(lambda: handle.done() or self._halted)
        if not handle.done():
            handle.cancel()
        try:
            return await handle
        except ActivityError as error:
            if waits.was_taken(error) and not is_cancelled_exception(error):
                self._state = loop.failed(self._state, *waits.why(error))
            return None

    @property
    def _halted(self) -> bool:
        return self._state.ending is not None or self._state.interrupt is not None

    def _queue_for(self, call: PendingCall) -> str | None:
        in_box = call.source in ("target", "forge", "skill") and self._state.has_target
        return self._state.queue if in_box else WORKER_QUEUE

    def _continue_as_new(self) -> None:
        state = self._state.model_copy(update={"clock_ms": self._clock.worked_ms})
        so_far = {"state": state, "idle_release_s": self._idle_release_s}
        workflow.continue_as_new(self._start.model_copy(update=so_far))
