"""How a call to a model fails: each kind with its class, its code and whether repeating may help."""

from typing import NamedTuple

from protocol.model import ErrorClass, StreamError


class Failure(NamedTuple):
    """A kind of failure; `retryable` is what the activity policy goes by."""

    error_class: ErrorClass
    code: str
    retryable: bool

    def told(
        self,
        message: str,
        *,
        http_status: int | None = None,
        retry_after_ms: int | None = None,
        partial: bool = False,
    ) -> StreamError:
        return StreamError(
            error_class=self.error_class,
            code=self.code,
            message=message,
            http_status=http_status,
            retryable=self.retryable,
            retry_after_ms=retry_after_ms,
            partial=partial,
        )


REQUEST_REJECTED = Failure("validation", "provider.request_rejected", False)
SCRIPT_EXHAUSTED = Failure("validation", "provider.script_exhausted", False)
UNBALANCED = Failure("validation", "provider.unbalanced_history", False)
CONTEXT_OVERFLOW = Failure("provider_terminal", "provider.context_overflow", False)
UNAUTHORIZED = Failure("provider_terminal", "provider.unauthorized", False)
QUOTA_EXHAUSTED = Failure("provider_terminal", "provider.quota_exhausted", False)
FORBIDDEN = Failure("provider_terminal", "provider.forbidden", False)
NOT_FOUND = Failure("provider_terminal", "provider.not_found", False)
ENDPOINT_NOT_FOUND = Failure("provider_terminal", "provider.endpoint_not_found", False)
TOO_LARGE = Failure("provider_terminal", "provider.payload_too_large", False)
CONTENT_REFUSED = Failure("provider_terminal", "provider.content_refused", False)
REPLAY_REJECTED = Failure("provider_terminal", "provider.replay_state_rejected", False)
TIMEOUT = Failure("provider_transient", "provider.timeout", True)
CONFLICT = Failure("provider_transient", "provider.conflict", True)
RATE_LIMITED = Failure("provider_transient", "provider.rate_limited", True)
OVERLOADED = Failure("provider_transient", "provider.overloaded", True)
FAILED = Failure("provider_transient", "provider.failed", True)
CONNECTION_FAILED = Failure("provider_transient", "provider.connection_failed", True)
OUTPUT_MALFORMED = Failure("provider_transient", "provider.output_malformed", True)
STREAM_IDLE = Failure("provider_transient", "provider.stream_idle", True)
STREAM_TRUNCATED = Failure("provider_transient", "provider.stream_truncated", True)
PROTOCOL_VIOLATION = Failure("provider_transient", "provider.protocol_violation", True)

_BY_STATUS = {
    400: REQUEST_REJECTED,
    401: UNAUTHORIZED,
    402: QUOTA_EXHAUSTED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: ENDPOINT_NOT_FOUND,
    408: TIMEOUT,
    409: CONFLICT,
    413: TOO_LARGE,
    422: REQUEST_REJECTED,
    425: CONFLICT,
    429: RATE_LIMITED,
    499: FAILED,
    503: OVERLOADED,
    529: OVERLOADED,
}


def by_status(status: int) -> Failure:
    if 300 <= status < 400:
        return ENDPOINT_NOT_FOUND
    if status >= 500:
        return _BY_STATUS.get(status, FAILED)
    return _BY_STATUS.get(status, REQUEST_REJECTED)
