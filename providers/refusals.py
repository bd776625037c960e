"""What a backend's refusal means: by its body where that says more, else by its status."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from protocol.mask import Mask
from protocol.model import StreamError
from protocol.noun import JSON
from providers import failures
from providers.failures import Failure
from providers.retry_hints import retry_after_ms, should_retry

_LONGEST_MESSAGE = 600
_BY_CODE = {
    "context_length_exceeded": failures.CONTEXT_OVERFLOW,
    "invalid_api_key": failures.UNAUTHORIZED,
    "authentication_error": failures.UNAUTHORIZED,
    "permission_error": failures.FORBIDDEN,
    "model_not_found": failures.NOT_FOUND,
    "not_found_error": failures.NOT_FOUND,
    "insufficient_quota": failures.QUOTA_EXHAUSTED,
    "billing_error": failures.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": failures.QUOTA_EXHAUSTED,
    "rate_limit_exceeded": failures.RATE_LIMITED,
    "rate_limit_error": failures.RATE_LIMITED,
    "request_too_large": failures.TOO_LARGE,
    "conflict_error": failures.CONFLICT,
    "timeout_error": failures.TIMEOUT,
    "content_filter": failures.CONTENT_REFUSED,
    "content_policy_violation": failures.CONTENT_REFUSED,
    "overloaded_error": failures.OVERLOADED,
    "server_is_overloaded": failures.OVERLOADED,
    "invalid_encrypted_content": failures.REPLAY_REJECTED,
    "previous_response_not_found": failures.NOT_FOUND,
    "invalid_prompt": failures.CONTENT_REFUSED,
    "bio_policy": failures.CONTENT_REFUSED,
    "misalignment_policy_violation": failures.CONTENT_REFUSED,
    "image_content_policy_violation": failures.CONTENT_REFUSED,
    "data_residency_mismatch": failures.FORBIDDEN,
    "invalid_request_error": failures.REQUEST_REJECTED,
    "server_error": failures.FAILED,
    "API_KEY_INVALID": failures.UNAUTHORIZED,
    "UNAUTHENTICATED": failures.UNAUTHORIZED,
    "PERMISSION_DENIED": failures.FORBIDDEN,
    "NOT_FOUND": failures.NOT_FOUND,
    "RESOURCE_EXHAUSTED": failures.RATE_LIMITED,
    "UNAVAILABLE": failures.OVERLOADED,
    "INVALID_ARGUMENT": failures.REQUEST_REJECTED,
    "FAILED_PRECONDITION": failures.REQUEST_REJECTED,
    "INTERNAL": failures.FAILED,
}
_OVERFLOW = re.compile(
    r"context[ _](length|window|size|limit)|prompt is too long|maximum.{0,20}tokens?.{0,40}(exceed|resulted)"
    r"|token count.{0,40}exceeds",
    re.I,
)
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d+)?)s")
_SIGNATURE = re.compile(
    r"thought[ _]signature|items? (with id )?'?\w+'? .{0,40}(not found|without its required)"
    r"|encrypted content .{0,80}could not be",
    re.I,
)
_THINKING = re.compile(r"`signature` in `thinking`|`(redacted_)?thinking` blocks|Expected `thinking`", re.I)
_NO_CREDIT = re.compile(r"credit balance is too low", re.I)


@dataclass(frozen=True)
class Scrubber:
    """Takes credentials out of what a backend says before anybody reads it."""

    secrets: tuple[str, ...]

    def clean(self, text: str) -> str:
        for secret in self.secrets:
            text = Mask(secret).out_of(text) if len(secret) >= 4 else text
        text = re.sub(r"(?i)bearer\s+[\w.~+/=*-]+", "Bearer ***", text)
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "", text)


@dataclass(frozen=True)
class Told:
    """The parts of an error body, whatever shape it had."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    status: int | None = None
    retry_after_ms: int | None = None


def told_by(body: JSON) -> Told | None:
    """`{"error": {...}}`, `{"error": "..."}`, a bare error object, `{"detail": ...}`, or a list of one."""
    if isinstance(body, list) and body:
        return told_by(body[0])
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, str):
        return Told(error)
    if not isinstance(error, dict):
        detail = body.get("detail")
        if detail is not None:
            return Told(detail if isinstance(detail, str) else json.dumps(detail))
        if not isinstance(body.get("message"), str) or "choices" in body:
            return None
        error = body
    message, code, kind = error.get("message"), error.get("code"), error.get("type")
    status = code if isinstance(code, int) else error.get("status")
    if isinstance(code, str) and code.isdecimal():
        status = int(code)
    named = error.get("status")
    kind = kind if isinstance(kind, str) else named
    reason, wait = _detailed(error.get("details"))
    return Told(
        message if isinstance(message, str) else json.dumps(error),
        kind if isinstance(kind, str) else None,
        code if isinstance(code, str) else reason,
        status if isinstance(status, int) and 400 <= status < 600 else None,
        wait,
    )


def _detailed(details: JSON) -> tuple[str | None, int | None]:
    """Google's `details`: the reason of an ErrorInfo, the delay of a RetryInfo in milliseconds."""
    reason: str | None = None
    wait: int | None = None
    for detail in details if isinstance(details, list) else []:
        told = detail if isinstance(detail, dict) else {}
        named, delay = told.get("reason"), told.get("retryDelay")
        if isinstance(named, str):
            reason = named
        if isinstance(delay, str) and (found := _SECONDS.fullmatch(delay)):
            wait = int(float(found[1]) * 1000)
    return reason, wait


def by_response(
    status: int, headers: Mapping[str, str], raw: bytes, scrubber: Scrubber, *, now: datetime | None = None
) -> StreamError:
    """An HTTP answer that is not a stream."""
    try:
        told = told_by(json.loads(raw))
    except (ValueError, RecursionError):
        told = None
    if told is None:
        return failure_of(Told(), status, scrubber, headers=headers, now=now, endpoint=True)
    return failure_of(told, status, scrubber, headers=headers, now=now)


def failure_of(
    told: Told,
    status: int | None,
    scrubber: Scrubber,
    *,
    headers: Mapping[str, str] | None = None,
    now: datetime | None = None,
    endpoint: bool = False,
) -> StreamError:
    """`status` is None for an error inside a stream that began well."""
    headers = headers or {}
    effective = status if status is not None and status >= 300 else told.status
    kind = _kind(told, effective, endpoint=endpoint)
    said = scrubber.clean(told.message)[:_LONGEST_MESSAGE].strip()
    message = said or (f"the backend answered with status {status}" if status else "the backend failed")
    hint = should_retry(headers)
    wait = retry_after_ms(headers, told.message, now=now or datetime.now(UTC))
    return StreamError(
        error_class=kind.error_class,
        code=kind.code,
        message=message,
        http_status=effective,
        provider_type=_short(told.type, scrubber),
        provider_code=_short(told.code, scrubber),
        provider_request_id=_short(headers.get("x-request-id") or headers.get("request-id"), scrubber),
        retryable=kind.retryable if hint is None else hint,
        retry_after_ms=told.retry_after_ms if wait is None else wait,
    )


def _kind(told: Told, status: int | None, *, endpoint: bool) -> Failure:
    named = _BY_CODE.get(told.code or "") or _BY_CODE.get(told.type or "")
    if status in (400, 413, 422, None) and _OVERFLOW.search(told.message):
        return failures.CONTEXT_OVERFLOW
    if status in (400, 404, None) and _SIGNATURE.search(told.message):
        return failures.REPLAY_REJECTED
    if status in (400, None) and _THINKING.search(told.message):
        return failures.REPLAY_REJECTED
    if status in (400, None) and _NO_CREDIT.search(told.message):
        return failures.QUOTA_EXHAUSTED
    if status == 404 and endpoint:
        return failures.ENDPOINT_NOT_FOUND
    if named not in (None, failures.REQUEST_REJECTED, failures.FAILED):
        return named
    if status is not None:
        return failures.by_status(status)
    return named or failures.FAILED


def _short(text: str | None, scrubber: Scrubber) -> str | None:
    return None if text is None else scrubber.clean(text)[:200]
