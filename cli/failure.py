"""What ends a command early, in words for a person and with a code for a program."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from protocol.errors import ErrorBody, Fault

REFUSED = 1
UNREACHABLE = 3


class Failure(Exception):
    """The command could not do what it was asked. Usage faults are the parser's own and end with 2."""

    exit_code = REFUSED

    def __init__(self, message: str, *, body: ErrorBody | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.body = body

    @property
    def error(self) -> ErrorBody:
        return self.body or ErrorBody(type="invalid_request_error", code="cli.failed", message=self.message)


class Refused(Failure):
    """The gateway said no; `body` is its own error object."""

    def __init__(self, status: int, body: ErrorBody) -> None:
        where = f" ({body.param})" if body.param and body.param not in body.message else ""
        asked = f" [request {body.request_id}]" if body.request_id and status >= 500 else ""
        super().__init__(f"{body.message}{where}: {body.code}{asked}", body=body)
        self.status = status


class Unreachable(Failure):
    """Nobody answers at the address."""

    exit_code = UNREACHABLE

    def __init__(self, url: str, why: str) -> None:
        message = f"nobody answers at {url}: {why}"
        body = ErrorBody(type="api_error", code="cli.unreachable", message=message, retryable=True)
        super().__init__(f"{message}; is `rhone up` running?", body=body)


@contextmanager
def telling(*, as_json: bool) -> Generator[None]:
    """A failure inside becomes a line on standard error and an exit code."""
    try:
        yield
    except Failure as failure:
        _say(failure.message, failure.error, as_json=as_json)
        sys.exit(failure.exit_code)
    except Fault as fault:
        _say(fault.message, fault.body(), as_json=as_json)
        sys.exit(REFUSED)


def _say(message: str, error: ErrorBody, *, as_json: bool) -> None:
    told = f'{{"error": {error.model_dump_json(exclude_none=True)}}}' if as_json else f"rhone: {message}"
    print(told, file=sys.stderr)
