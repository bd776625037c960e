"""Named points: a test may stop a process at one, and nobody else can."""

import signal
import subprocess
import sys
from pathlib import Path

from worker.failpoints import Failpoints

CHECKOUT = Path(__file__).resolve().parents[3]
REACH = """
import sys
from pathlib import Path
from worker.failpoints import Failpoints
Failpoints(Path(sys.argv[1])).reach("after_claim", "count_workspace")
print("alive")
"""


def reached(folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", REACH, str(folder)]
    return subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_an_armed_point_kills_the_process_and_leaves_a_mark(tmp_path: Path) -> None:
    (tmp_path / "after_claim").write_text("workspace")
    assert reached(tmp_path).returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["after_claim.fired"]
    assert reached(tmp_path).stdout == "alive\n"


def test_a_point_that_is_armed_for_other_words_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "after_claim").write_text("read_only")
    Failpoints(tmp_path).reach("after_claim", "count_workspace")
    Failpoints(tmp_path).reach("after_effect", "read_only")
    assert [path.name for path in tmp_path.iterdir()] == ["after_claim"]


def test_without_the_setting_no_point_does_anything() -> None:
    Failpoints(None).reach("after_claim", "anything")
