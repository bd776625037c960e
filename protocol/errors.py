"""Faults: the tree stands here, two levels deep, and each class says whether to try again.

    Fault
    ├── Refused       somebody said no; asking again changes nothing
    └── Unavailable   nobody answered; asking again may help

Codes are dotted by family: run. session. checkpoint. capability. target. git. provider. auth. quota.
idempotency. storage. engine. request. tool. policy.
"""

from typing import ClassVar, Literal

from protocol.noun import JSON, Noun

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "gone_error",
    "rate_limit_error",
    "overloaded_error",
    "provider_error",
    "api_error",
]


class ErrorBody(Noun):
    """The one error object: on HTTP, in streams, and in a failed run."""

    type: ErrorType
    code: str
    message: str
    param: str | None = None
    request_id: str | None = None
    retryable: bool = False
    retry_after: float | None = None
    provider_error: dict[str, JSON] | None = None
    compat_issues: tuple[dict[str, JSON], ...] | None = None
    details: dict[str, JSON] | None = None


class Fault(Exception):
    """Something that a caller is told in words: a dotted code, a message, the field it is about."""

    type: ClassVar[ErrorType] = "api_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        details: dict[str, JSON] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.details = details

    def body(self, request_id: str | None = None) -> ErrorBody:
        return ErrorBody(
            type=self.type,
            code=self.code,
            message=self.message,
            param=self.param,
            request_id=request_id,
            retryable=self.retryable,
            retry_after=self.retry_after,
            details=self.details,
        )


class Refused(Fault):
    """Somebody said no: never again by itself."""

    type = "invalid_request_error"
    status = 400


class InvalidRequest(Refused):
    """The request does not fit its shape or names something that does not exist."""


class TooLarge(Refused):
    status = 413


class Unauthenticated(Refused):
    type = "authentication_error"
    status = 401


class Forbidden(Refused):
    type = "permission_error"
    status = 403


class NotFound(Refused):
    type = "not_found_error"
    status = 404


class Conflict(Refused):
    type = "conflict_error"
    status = 409


class Gone(Refused):
    type = "gone_error"
    status = 410


class TargetRefused(Refused):
    """A target will not do what was asked: a path outside the work tree, an image that is not there."""


class TargetLost(Refused):
    """A box is gone, or what answers in its place is not our agent: rebuild, do not retry."""


class Unavailable(Fault):
    """Nobody answered: not acknowledged, repeating is safe."""

    type = "overloaded_error"
    status = 503
    retryable = True


class RateLimited(Unavailable):
    type = "rate_limit_error"
    status = 429


class TargetUnavailable(Unavailable):
    """The container runtime is away or too weak: nothing runs."""


class ProviderUnavailable(Unavailable):
    """The model's vendor failed in a way that may pass; `retry_after` carries its hint in seconds."""

    type = "provider_error"
    status = 502
