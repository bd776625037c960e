"""`rhone snapshot`: what a run may do, and what changed between two, over a real stack."""

import pytest

from tests.flow.cli.conftest import Up

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


async def ended(up: Up, *words: str) -> str:
    run = up.json("run", "hello", *words)["id"]
    await up.when(run, "completed")
    return run


async def test_a_snapshot_is_shown_and_two_are_compared_in_words(up: Up) -> None:
    tool = ("--tool", "count_read_only")
    first = await ended(up, *tool)
    second = await ended(up, "--approval", "count_read_only=ask", "--tool", "web_search")
    shown = up.say("snapshot", "show", second)
    [granted] = [line.split() for line in shown.splitlines() if line.startswith("count_read_only")]
    assert granted[:4] == ["count_read_only", "tool", "read_only", "ask"]
    assert "search.not_configured" in shown
    told = up.json("snapshot", "show", first)
    assert up.json("snapshot", "show", told["id"]) == told
    assert [grant["name"] for grant in told["document"]["grants"]] == ["count_read_only"]

    words = up.say("snapshot", "diff", first, second)
    assert "'count_read_only' asks before each call now (the rule request.ask" in words
    assert "'web_search' is denied (the rule search.not_configured" in words
    changed = up.json("snapshot", "diff", first, second)
    assert [(one["what"], one["name"]) for one in changed["changes"]][-2:] == [
        ("approval", "count_read_only"),
        ("not_granted", "web_search"),
    ]
    assert up.say("snapshot", "diff", first, told["id"]) == "both may do the same, for the same reasons\n"
    refused = up.rhone("snapshot", "show", "capsnap_nothing")
    assert refused.returncode == 1
