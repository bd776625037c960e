"""The calls of one session: each is sent once, and a question in the middle of it goes to whoever made it.

Before 2026-07-28 a question does not say which call it belongs to. So a session of those days makes one call
at a time; one that waits for a person is put aside, with the server waiting for the answer.
"""

import asyncio
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import anyio
import mcp_types as types
from mcp.client.session import ClientRequestContext
from mcp.shared.message import SessionMessage
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ValidationError

from protocol.mcp import Answer, Asked, Asks, Exchange, Listed, NotDone, Question, Reply, Said
from protocol.noun import JSON, JSONObject
from providers.mcp.session import Session

KEY = "dev.rhone/idempotency-key"
"""Where a call carries the key that is the same at each try of it."""

MOST_ASKED = 10
LONGEST_QUESTION = 8 * 1024
_ROUNDS = 10
_PAUSE = 0.1
_REFUSED = frozenset({"$ref", "$dynamicRef", "patternProperties"})
_FORMLESS = "the server asks for something else than plain fields, which is not offered to servers"
_NOBODY = Reply(action="cancel")

T = TypeVar("T")
Result = types.CallToolResult | types.ReadResourceResult | types.GetPromptResult


class SessionEnded(Exception):
    """The session ended under a request."""


class Call(NamedTuple):
    """What is sent, under the key of its effect; `exchange` is what the server asked before, and was told."""

    kind: Listed
    name: str
    arguments: JSONObject
    key: str
    seconds: float
    exchange: Exchange


class Outgoing:
    """A wire, and the keys of the calls that it was given. What it was given may have arrived, also where
    giving it was broken off; a closed wire takes nothing."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.taken: set[str] = set()

    async def send(self, item: SessionMessage) -> None:
        new = _keys_of(item.message) - self.taken
        self.taken |= new
        try:
            await self._wire.send(item)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.taken -= new
            raise

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def __aenter__(self) -> "Outgoing":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class Waiting:
    """A call that an older server works at."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.questions: asyncio.Queue[tuple[Question, asyncio.Future[Reply]]] = asyncio.Queue()
        self.reply: asyncio.Future[Reply] | None = None
        self.asked = 0

    async def end(self) -> None:
        """It has its result, or will have none: nobody is asked any more."""
        self.task.cancel()
        replies = [self.reply] if self.reply else []
        while not self.questions.empty():
            replies.append(self.questions.get_nowait()[1])
        for reply in replies:
            if not reply.done():
                reply.set_result(_NOBODY)
        await asyncio.wait({self.task}, timeout=1.0)
        if self.task.done() and not self.task.cancelled():
            self.task.exception()  # nobody else looks at it


class Calls:
    """Who made a call comes again for its answer; `parked` are those that wait for one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._parked: dict[str, Waiting] = {}
        self._now: Waiting | None = None

    @property
    def parked(self) -> tuple[str, ...]:
        return tuple(self._parked)

    async def make(self, session: Session, call: Call, gone: asyncio.Task[None]) -> Answer:
        """Raises MCPError, ValidationError, TimeoutError and SessionEnded for a call without an answer."""
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return await within(asyncio.create_task(_answered(session, call)), call.seconds, gone)
        async with self._turn:
            if not call.exchange.asked:
                await self.drop(call.key)  # who comes without an answer begins anew
            waiting = self._parked.pop(call.key, None)
            known: Iterator[Asked] = iter(())
            if waiting is None:
                waiting = Waiting(asyncio.create_task(_send(session, call)))
                known = iter(call.exchange.asked)
            elif waiting.reply is not None and not waiting.reply.done():
                waiting.reply.set_result(call.exchange.asked[-1].reply or _NOBODY)
            self._now = waiting
            try:
                return await self._carry(waiting, call, known, gone)
            finally:
                self._now = None
                if call.key not in self._parked:
                    await waiting.end()

    async def asked(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        """A question of the server, from within the session; it has its answer when somebody gave one."""
        now, question = self._now, _question(params, "")
        if question is None:
            return types.ErrorData(code=types.INVALID_PARAMS, message=_FORMLESS)
        if now is None or now.asked == MOST_ASKED:
            return _told(_NOBODY)
        now.asked += 1
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        now.questions.put_nowait((question, reply))
        return _told(await reply)

    async def drop(self, key: str) -> None:
        waiting = self._parked.pop(key, None)
        if waiting is not None:
            await waiting.end()

    async def close(self) -> None:
        for key in self.parked:
            await self.drop(key)

    async def _carry(
        self, waiting: Waiting, call: Call, known: Iterator[Asked], gone: asyncio.Task[None]
    ) -> Answer:
        """Until there is a result, or a question that was not answered before."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + call.seconds
        while True:
            asking = asyncio.create_task(waiting.questions.get())
            try:
                left = max(0.0, deadline - loop.time())
                await asyncio.wait(
                    {waiting.task, asking, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                found = asking.result() if asking.done() else None
                waiting.reply = found[1] if found else waiting.reply
                if waiting.task.done():
                    return _said(waiting.task.result())
                if found is None:
                    raise SessionEnded if gone.done() else TimeoutError
            finally:
                asking.cancel()
            (question, reply), before = found, next(known, None)
            if before is None or before.reply is None or before.question != question:
                self._parked[call.key] = waiting
                return Asks(exchange=_asking(call.exchange, [question]))
            reply.set_result(before.reply)


async def within(task: asyncio.Task[T], seconds: float, gone: asyncio.Task[None]) -> T:
    """The outcome of a task, which ends with its time, or with the session."""
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise SessionEnded if gone.done() else TimeoutError
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)


async def _answered(session: Session, call: Call) -> Answer:
    """A call of 2026-07-28: it is sent with the answers to what it asked last."""
    exchange = call.exchange
    asked = exchange.asked[exchange.round :]
    responses: dict[str, Any] = {one.question.key: _told(one.reply or _NOBODY) for one in asked}
    state = exchange.state
    for _ in range(_ROUNDS):
        result = await _send(session, call, responses or None, state)
        if not isinstance(result, types.InputRequiredResult):
            return _said(result)
        requests = result.input_requests or {}
        found = [
            _question(request.params, key) if isinstance(request, types.ElicitRequest) else None
            for key, request in requests.items()
        ]
        questions = [question for question in found if question is not None]
        if len(questions) < len(requests):
            return NotDone(reason=_FORMLESS)
        if len(exchange.asked) + len(questions) > MOST_ASKED:
            return NotDone(reason=f"the server asks more than {MOST_ASKED} questions")
        if questions:
            return Asks(exchange=_asking(exchange, questions, result.request_state))
        responses, state = {}, result.request_state
        await asyncio.sleep(_PAUSE)
    return NotDone(reason="the server puts the call off again and again")


async def _send(
    session: Session, call: Call, responses: Any = None, state: str | None = None
) -> Result | types.InputRequiredResult:
    meta: Any = {KEY: call.key}
    match call.kind:
        case "tools":
            return await session.call_tool(
                call.name,
                call.arguments,
                input_responses=responses,
                request_state=state,
                meta=meta,
                allow_input_required=True,
            )
        case "resources":
            return await session.read_resource(
                call.name,
                input_responses=responses,
                request_state=state,
                meta=meta,
                allow_input_required=True,
            )
        case "prompts":
            return await session.get_prompt(
                call.name,
                {argument: str(value) for argument, value in call.arguments.items()},
                input_responses=responses,
                request_state=state,
                meta=meta,
                allow_input_required=True,
            )


def _keys_of(message: types.JSONRPCMessage) -> set[str]:
    params = message.params if isinstance(message, types.JSONRPCRequest) else None
    key = ((params or {}).get("_meta") or {}).get(KEY)
    return {key} if key else set()


def _asking(before: Exchange, questions: list[Question], state: str | None = None) -> Exchange:
    asked = (*before.asked, *(Asked(question=question) for question in questions))
    return Exchange(asked=asked, round=len(before.asked), state=state)


def _question(params: types.ElicitRequestParams, key: str) -> Question | None:
    """A form that a person can be shown; no address to go to, and nothing that refers to elsewhere."""
    if not isinstance(params, types.ElicitRequestFormParams):
        return None
    fields: JSONObject = params.requested_schema
    try:
        long = len(json.dumps([params.message, fields, key])) > LONGEST_QUESTION
        if long or _REFUSED & set(_keys(fields)) or fields.get("type") != "object":
            return None
    except RecursionError:
        return None
    return Question(message=params.message, fields=fields, key=key)


def _keys(value: JSON) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _told(reply: Reply) -> types.ElicitResult:
    try:
        return types.ElicitResult.model_validate({"action": reply.action, "content": reply.content})
    except ValidationError:  # not the flat object that the protocol has
        return types.ElicitResult(action="cancel")


def _said(result: Any) -> Answer:
    match result:
        case types.CallToolResult():
            blocks = [_plain(block) for block in result.content]
            failed = result.is_error or False
            return Said(content=tuple(blocks), structured=result.structured_content, is_error=failed)
        case types.ReadResourceResult():
            return Said(
                content=tuple({"type": "resource", "resource": _plain(one)} for one in result.contents)
            )
        case types.GetPromptResult():
            return Said(content=tuple(_plain(message.content) for message in result.messages))
        case _:
            return NotDone(reason=_FORMLESS)


def _plain(part: BaseModel) -> JSONObject:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)
