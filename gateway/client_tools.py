"""Results of client tools: what the application itself ran for a run, handed in."""

from fastapi import APIRouter
from pydantic import model_validator
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Runner
from gateway.answers import one
from gateway.bodies import documented, read_body
from gateway.checkpoints import checkpoint_closed
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from gateway.names import run_named
from protocol.errors import Conflict, NotFound
from protocol.ids import RunId, ToolExecutionId, is_id
from protocol.noun import JSON, JSONObject, Noun
from protocol.tool import ToolExecution
from records import client_tools, tool_executions
from records.decisions import Decided
from records.tx import Tx

router = APIRouter(tags=["runs"])


class ClientToolResult(Noun):
    """Either an output or an error."""

    output: JSON = None
    error: JSON = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ClientToolResult":
        if len(self.model_fields_set) != 1:
            raise ValueError("exactly one of `output` and `error` is needed")
        return self


@router.post(
    "/v1/runs/{run_id}/client-tools/{tool_id}:submit",
    response_model=ToolExecution,
    openapi_extra=documented("ClientToolResult"),
)
async def submit_result(request: Request, here: Here, caller: Runner, run_id: str, tool_id: str) -> Response:
    """The same result twice is accepted, another one is not."""
    body = await read_body(request)
    asked = body.parse(ClientToolResult)
    result: JSONObject = {name: getattr(asked, name) for name in asked.model_fields_set}
    execution = ToolExecutionId(tool_id)

    def unit(tx: Tx) -> Made[ToolExecution]:
        run = run_named(tx.connection, caller.tenant, run_id).run
        known = tool_executions.get(tx.connection, execution) if is_id("tool_", tool_id) else None
        if known is None or known.run_id != run.id:
            raise NotFound("tool.not_found", f"the run has no tool execution {tool_id[:200]!r}")
        match client_tools.submit(tx, caller, run.id, execution, result):
            case Decided() | client_tools.SameAgain():
                return Made(execution, tool_executions.get(tx.connection, execution) or known)
            case client_tools.ResultConflict():
                raise Conflict("tool.result_conflict", "another result was handed in before")
            case client_tools.NoSuchClientTool():
                raise NotFound("tool.not_found", f"{tool_id!r} waits for no client")
            case client_tools.TooLate(checkpoint=checkpoint):
                raise checkpoint_closed(checkpoint)

    done = await here.mutations.once(scope_of(request, caller), body, unit, runs=[RunId(run_id)])
    if done.value is not None:
        here.wakes.wake([RunId(run_id)])
    execution_now = done.value or await here.database.read(lambda c: tool_executions.get(c, execution))
    assert execution_now is not None
    return one(execution_now, done.status, done.headers)
