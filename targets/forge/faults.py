"""What git and a forge say, told as faults: who said no, and whether asking again may help."""

import re

from protocol.errors import (
    Fault,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    TargetRefused,
    Unavailable,
)
from targets.forge.git import GitFailed, GitTimedOut

REMOTE = "target.repo.remote"
BASE = "target.repo.base"

_STATUS = re.compile(r"returned error: (\d{3})")
_UNPROVEN = ("Authentication failed", "could not read Username", "could not read Password")
_NOT_THERE = ("not found", "does not exist", "does not appear to be a git repository")
_MAY_PASS = (
    "Could not resolve host",
    "Failed to connect",
    "Couldn't connect",
    "Connection refused",
    "Connection reset",
    "timed out",
    "Operation too slow",
    "Recv failure",
    "Empty reply",
    "early EOF",
    "remote end hung up",
    "unexpected disconnect",
    "RPC failed",
)


def clone_fault(repository: str, failed: GitFailed) -> Fault:
    """The fault for a git command that read from the forge and failed."""
    return _fault("git.clone_failed", "git.clone_failed", repository, failed)


def push_fault(repository: str, failed: GitFailed) -> Fault:
    """The fault for a push that failed, with the forge's own reason where it gave one."""
    reasons = [line for line in failed.output.splitlines() if line.startswith("!\t")]
    remote = [line for line in failed.text.splitlines() if line.startswith("remote:")]
    if reasons:
        message = f"{repository}: {' '.join([*remote, *reasons])[:1000]}"
        return TargetRefused("git.push_refused", message)
    return _fault("git.push_failed", "git.push_refused", repository, failed)


def _fault(passing: str, lasting: str, repository: str, failed: GitFailed) -> Fault:
    text = failed.text
    message = f"{repository}: {last_line(text)}"
    status = _STATUS.search(text)
    if isinstance(failed, GitTimedOut):
        return Unavailable(passing, message, param=REMOTE)
    if any(sign in text for sign in _UNPROVEN):
        return auth_failed(repository)
    if status:
        return status_fault(int(status[1]), repository, passing, lasting)
    if any(sign in text for sign in _MAY_PASS):
        return Unavailable(passing, message, param=REMOTE)
    if any(sign in text for sign in _NOT_THERE):
        return repository_not_found(repository)
    return InvalidRequest(lasting, message, param=REMOTE)


def status_fault(
    status: int, repository: str, passing: str, lasting: str, retry_after: float | None = None
) -> Fault:
    """The fault for an HTTP status that is no success."""
    if status in (401, 403):
        return auth_failed(repository)
    if status == 404:
        return repository_not_found(repository)
    if status == 429:
        message = f"the forge asks us to wait before we speak of {repository} again"
        return RateLimited("git.rate_limited", message, param=REMOTE, retry_after=retry_after)
    if status >= 500:
        message = f"the forge answers {status} for {repository}"
        return Unavailable(passing, message, param=REMOTE, retry_after=retry_after)
    if 300 <= status < 400:
        message = f"the forge answers with a redirect for {repository}, and redirects are not followed"
        return InvalidRequest(lasting, message, param=REMOTE)
    return InvalidRequest(lasting, f"the forge answers {status} for {repository}", param=REMOTE)


def auth_failed(repository: str) -> Forbidden:
    return Forbidden("git.auth_failed", f"the forge refuses our credential for {repository}", param=REMOTE)


def repository_not_found(repository: str) -> NotFound:
    return NotFound("git.repository_not_found", f"there is no repository {repository!r}", param=REMOTE)


def branch_not_found(repository: str, branch: str) -> NotFound:
    return NotFound("git.branch_not_found", f"{repository} has no branch {branch!r}", param=BASE)


def refused_push(code: str, message: str) -> TargetRefused:
    return TargetRefused(f"git.{code}", message)


def last_line(text: str) -> str:
    """The line of git's complaint that says most; the rest is advice."""
    lines = [line for line in text.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
    return (lines or text.splitlines() or ["git failed"])[-1][:500]
