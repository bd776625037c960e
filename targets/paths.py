"""Paths in a work tree, as words: the agent asks the kernel again when it opens them."""

import posixpath

from protocol.errors import TargetRefused
from targets.target import ROOT


def inside(path: str) -> str:
    """The path relative to the work tree; refuses what stands outside of it by its words alone."""
    if "\0" in path:
        raise TargetRefused("target.path_refused", "a path with a zero byte", param="path")
    within = posixpath.normpath(path or ".")
    if within.startswith("/"):
        within = posixpath.relpath("/" + within.lstrip("/"), ROOT)
    if within == ".." or within.startswith("../"):
        raise TargetRefused("target.path_refused", f"{path!r} is outside of {ROOT}", param="path")
    return within


PROTECTED = frozenset(
    (
        ".git",
        ".vscode",
        ".idea",
        ".claude",
        ".cursor",
        ".codex",
        ".gemini",
        ".opencode",
        ".mcp.json",
        ".envrc",
    )
)
"""What tools on somebody's machine run or obey: the shell in the box may write it, the file tools do not."""


def protected(path: str) -> str | None:
    """The part of a path that the file tools do not write."""
    return next((part for part in path.split("/") if part.lower() in PROTECTED), None)
