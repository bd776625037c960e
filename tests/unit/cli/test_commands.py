"""The command line as a program: its list, its exit codes, its JSON."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import COMMANDS
from cli.runs import Work


def rhone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "100", **environment},
    )


def test_the_list_of_commands_is_told_without_what_they_need() -> None:
    script = "import sys; from cli.main import app; app(['--help'], standalone_mode=False)"
    script += "; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    loaded = set(done.stderr.split())
    assert not loaded & {"pydantic", "httpx2", "sqlalchemy", "temporalio", "docker", "rich", "fastapi"}
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_its_line_in_the_list_says_and_takes_json(name: str) -> None:
    command = COMMANDS[name].load(name)
    parts = list(getattr(command, "commands", {}).values()) or [command]
    assert command.help.splitlines()[0] == COMMANDS[name].help
    if name not in ("gateway", "worker", "egress"):
        assert all(any("--json" in param.opts for param in part.params) for part in parts)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["runs", "--nonsense"], 2),
        (["run", "x", "--approval", "bash"], 2),
        (["answer"], 2),
        (["runs", "--data", "/nonexistent"], 3),
        (["runs", "--url", "http://127.0.0.1:9"], 3),
        (["version"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert rhone(*arguments).returncode == code


def test_an_error_is_one_line_for_a_person_and_an_object_for_a_program() -> None:
    person, program = rhone("runs", "--data", "/none"), rhone("runs", "--data", "/none", "--json")
    assert person.stdout == program.stdout == ""
    assert person.stderr.startswith("rhone: nothing runs on /none")
    assert json.loads(program.stderr)["error"]["code"] == "cli.failed"


def test_the_address_is_taken_from_the_data_directory_the_environment_or_the_option(tmp_path: Path) -> None:
    (tmp_path / "address").write_text("http://127.0.0.1:7\n")
    data = {"RHONE_DATA": str(tmp_path)}
    assert "http://127.0.0.1:7:" in rhone("runs", **data).stderr
    assert "http://127.0.0.1:8:" in rhone("runs", **data, RHONE_URL="http://127.0.0.1:8").stderr
    assert "http://127.0.0.1:9:" in rhone("runs", "--url", "http://127.0.0.1:9", **data).stderr


def test_a_task_with_a_repository_asks_for_a_workspace_and_its_tools() -> None:
    asked = Work(repo="forge/demo", approval=["bash=ask", "git_push=auto"]).request("mend it")
    assert asked["target"] == {
        "kind": "workspace",
        "name": "default",
        "repo": {"remote": "forge/demo", "base": "main"},
    }
    assert asked["capabilities"] == [
        {"kind": "tool", "name": "bash", "approval": "ask"},
        *(
            {"kind": "tool", "name": name}
            for name in ("read_file", "write_file", "edit_file", "glob", "grep", "save_artifact")
        ),
        {"kind": "tool", "name": "open_pull_request"},
        {"kind": "tool", "name": "git_push", "approval": "auto"},
    ]


def test_a_task_without_a_repository_asks_for_nothing_else() -> None:
    assert Work().request("say hello") == {"input": "say hello", "capabilities": [], "limits": {}}


def test_the_list_comes_at_once() -> None:
    rhone("--help")
    times: list[float] = []
    for _ in range(5):
        before = _seconds_of_children()
        assert rhone("--help").returncode == 0
        times.append(_seconds_of_children() - before)
    assert min(times) < 0.3


def _seconds_of_children() -> float:
    """Of the processor, which others beside us do not make longer."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
