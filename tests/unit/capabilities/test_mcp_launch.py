"""MCP-08: what is approved before a program is started: all of it, and nothing else."""

from typing import Any

import pytest
from pydantic import ValidationError

from capabilities.mcp_launch import in_words, launch_digest
from protocol.mcp import McpServerEntry, StdioEntry

TOKEN = {"kind": "env", "name": "FILES_TOKEN"}
BODY: dict[str, Any] = {
    "command": ["serve", "/data\u202e"],
    "env": {"MODE": "x"},
    "secrets": {"TOKEN": TOKEN},
}
ENTRY = StdioEntry.model_validate(BODY)


def test_every_word_and_every_name_is_shown_and_no_secret() -> None:
    words = in_words("files", ENTRY)
    assert "\n  [0] serve\n  [1] /data\\u{202e}\n" in words
    assert "\n  MODE = x\n" in words
    assert "\n  TOKEN, the secret env:FILES_TOKEN\n" in words
    assert launch_digest("files", ENTRY) in words


@pytest.mark.parametrize(
    "change",
    [
        {"command": ["serve"]},
        {"command": ["serve", "/data\u202e", "--all"]},
        {"env": {"MODE": "y"}},
        {"env": {}},
        {"secrets": {"TOKEN": {"kind": "env", "name": "OTHER"}}},
        {"image": "other"},
        {"limits": {"memory_mb": 4096}},
        {"runtime": "runsc"},
    ],
)
def test_any_change_is_another_launch(change: dict[str, Any]) -> None:
    """MCP-04, of programs."""
    changed = StdioEntry.model_validate(BODY | change)
    assert launch_digest("files", changed) != launch_digest("files", ENTRY)
    assert launch_digest("other", ENTRY) != launch_digest("files", ENTRY)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "https://a.test/mcp", "stdio": BODY},
        {"stdio": BODY, "auth": TOKEN},
        {"stdio": BODY, "private_network": True},
        {"stdio": BODY | {"command": []}},
        {"stdio": BODY | {"command": ["a\x00b"]}},
        {"stdio": BODY | {"env": {"A=B": "x"}}},
        {"stdio": BODY | {"env": {"TOKEN": "x"}}},
    ],
)
def test_a_declaration_that_says_two_things_or_none_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        McpServerEntry.model_validate(body)
