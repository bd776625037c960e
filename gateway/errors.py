"""The translator of faults: whatever went wrong leaves the gateway as the one error object."""

import math
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from protocol.errors import ErrorBody, Fault, InvalidRequest
from protocol.noun import Noun
from protocol.strict import path_of

REQUEST_ID = "rhone.request_id"
"""The key in the scope under which the edge leaves the request's id."""


class ErrorAnswer(Noun):
    """The envelope of every error."""

    error: ErrorBody


def request_id_of(request: Request) -> str:
    return str(request.scope.get(REQUEST_ID, ""))


def answer(fault: Fault, request_id: str) -> Response:
    return _render(fault.body(request_id), fault.status)


def translate(app: FastAPI) -> None:
    """Teach the application that every failure has one shape."""
    app.add_exception_handler(Fault, _fault)
    app.add_exception_handler(RequestValidationError, _parameter)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _internal)


def _render(body: ErrorBody, status: int) -> Response:
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(body.retry_after or 1)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    content = ErrorAnswer(error=body).model_dump_json(exclude_none=True)
    return Response(content, status, headers, media_type="application/json")


async def _fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return answer(error, request_id_of(request))


async def _parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where, *location = first["loc"]
    param = path_of(tuple(location)) or str(where)
    code = "request.unknown_parameter" if first["type"] == "extra_forbidden" else "request.invalid_parameter"
    return answer(InvalidRequest(code, f"{param}: {first['msg']}", param=param), request_id_of(request))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status == HTTPStatus.NOT_FOUND:
        code, kind = "request.unknown_route", "not_found_error"
        message = f"there is no {request.method} {request.url.path[:200]}"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        code, kind = "request.method_not_allowed", "invalid_request_error"
        message = f"{request.url.path[:200]} does not take {request.method}"
    else:
        code, kind, message = "request.refused", "invalid_request_error", str(error.detail)
    body = ErrorBody.model_validate(
        {"type": kind, "code": code, "message": message, "request_id": request_id_of(request)}
    )
    response = _render(body, status)
    if error.headers and "allow" in {name.lower() for name in error.headers}:
        response.headers.update(error.headers)
    return response


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _internal(request: Request, error: Exception) -> Response:
    fault = Fault("engine.internal", "internal error")
    return answer(fault, request_id_of(request))
