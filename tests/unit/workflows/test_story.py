"""What keeps a story tellable again: no clock, chance or file of its own, and limits for every port."""

import ast
from datetime import timedelta
from pathlib import Path

import pytest

from protocol.ids import RunId
from workflows import options
from workflows.signatures import host_queue, workflow_id

FOLDER = Path(options.__file__).parent
UNTOLD = frozenset({"time", "random", "os", "pathlib", "uuid", "secrets", "socket", "subprocess", "cedarpy"})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_a_story_reads_nothing_that_differs_when_it_is_told_again(path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported & UNTOLD == set()
    assert not any(word in path.read_text() for word in ("datetime.now", "utcnow", "today()"))


@pytest.mark.parametrize("limits", [options.WORK, options.MODEL, options.TOOL, options.HELD])
def test_long_work_beats_and_is_cancelled_only_with_its_end(limits: options.Options) -> None:
    assert limits.get("heartbeat_timeout") == timedelta(seconds=10)
    assert limits.get("cancellation_type") is not None


def test_a_run_has_one_workflow_and_a_host_one_queue() -> None:
    assert workflow_id(RunId("run_1")) == "run_1"
    assert host_queue("abc") == host_queue(host_queue("abc")) == "host-abc"
