"""Runs with vaults: notes read and followed at once, a change only as the diff that a person approved."""

from pathlib import Path

import pytest

from protocol.digest import digest_bytes
from tests.stack import Event, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

TABLES = {"vaults": '[vaults.handbook]\nkind = "obsidian"\npath = "handbook"\n'}
HOME = "# Home\nSee [[Knots]].\nAsk ann.\n"

SCRIPT = r"""
[[scenarios]]
when = "^read"
[[scenarios.turns]]
tool_calls = [
  { name = "vault_list", arguments = { vault = "handbook" } },
  { name = "vault_read", arguments = { vault = "handbook", note = "Home" } },
  { name = "vault_search", arguments = { vault = "handbook", query = "loop" } },
  { name = "vault_backlinks", arguments = { vault = "handbook", note = "Knots" } },
  { name = "vault_read", arguments = { vault = "handbook", note = "../secret" } },
  { name = "vault_read", arguments = { vault = "diary", note = "Home" } },
]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^change"
[[scenarios.turns]]
tool_calls = [{ name = "vault_patch", arguments = { vault = "handbook", path = "Home.md", patch = '''
@@ -3 +3 @@
-Ask ann.
+Ask ben.
''', reason = "ann has left" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^misfit"
[[scenarios.turns]]
tool_calls = [{ name = "vault_patch", arguments = { vault = "handbook", path = "Home.md", patch = '''
@@ -3 +3 @@
-Ask zoe.
+Ask ben.
''' } }]
[[scenarios.turns]]
text = "{last_result}"
"""


def handbook(access: str, name: str = "handbook") -> dict[str, str]:
    return {"kind": "vault", "name": name, "access": access}


def results(told: list[Event]) -> list[str]:
    """As the calls were asked for: those of one turn may end in any order."""
    ends = {
        event["tool_execution_id"]: event["preview"] for event in of_type(told, "tool_execution.completed")
    }
    return [ends[event["tool_execution_id"]] for event in of_type(told, "tool_execution.requested")]


@pytest.fixture
def home(stack: Stack) -> Path:
    folder = stack.data / "handbook"
    folder.mkdir(exist_ok=True)
    (folder / "Knots.md").write_text("A loop that holds.\n")
    (folder / "Home.md").write_text(HOME)
    (stack.data / "secret.md").write_text("secret")
    return folder / "Home.md"


async def test_a_vault_is_read_without_asking(stack: Stack, home: Path) -> None:
    run = await stack.create("read", capabilities=[handbook("read"), handbook("read", "diary")])
    told = await stack.ended(run)
    resolved = of_type(told, "capability.resolved")[0]
    assert resolved["denials"]["names"] == ["vault:diary"]
    assert "vault_patch" not in resolved["grants"]["names"]
    listed, read, found, back, outside, diary = results(told)
    assert listed == "Home.md: Home\nKnots.md: Knots"
    assert read.startswith(HOME)
    assert "- [[Knots]] -> Knots.md" in read
    assert found == "Knots.md: Knots\n  A loop that holds."
    assert back == "Home.md: [[Knots]]"
    assert outside.startswith("vault.path_refused")
    assert "'diary' is not granted in this run; there are: handbook" in diary


async def test_a_change_is_written_once_a_person_approved_its_diff(stack: Stack, home: Path) -> None:
    run = await stack.create("change", capabilities=[handbook("write")])
    asked = await stack.checkpoint(run)
    assert asked.rule == "default.vault-notes"
    assert "| -Ask ann.\n    | +Ask ben." in asked.rendered
    assert asked.envelope is not None
    assert asked.envelope.files == {"handbook/Home.md": digest_bytes(HOME.encode())}
    assert home.read_text() == HOME
    await stack.decide(asked, "approve")
    told = await stack.ended(run)
    assert home.read_text() == HOME.replace("ann", "ben")
    assert told[-1]["output_text"].startswith("wrote Home.md: ")


async def test_an_approved_change_is_refused_where_the_note_changed_since(stack: Stack, home: Path) -> None:
    run = await stack.create("change", capabilities=[handbook("write")])
    asked = await stack.checkpoint(run)
    home.write_text("Someone else wrote.\nAsk ann.\n")
    await stack.decide(asked, "approve")
    told = await stack.ended(run)
    assert told[-1]["output_text"].startswith("vault.note_changed")
    assert home.read_text() == "Someone else wrote.\nAsk ann.\n"


async def test_a_patch_that_does_not_fit_asks_nobody(stack: Stack, home: Path) -> None:
    told = await stack.ended(await stack.create("misfit", capabilities=[handbook("write")]))
    assert told[-1]["output_text"].startswith("vault.patch_refused: patch: hunk 1")
    assert of_type(told, "checkpoint.opened") == []


async def test_a_vault_for_reading_is_not_written(stack: Stack, home: Path) -> None:
    patching = {"kind": "tool", "name": "vault_patch"}
    told = await stack.ended(await stack.create("change", capabilities=[handbook("read"), patching]))
    assert "'handbook' was asked for with the access \"read\"" in told[-1]["output_text"]
    assert home.read_text() == HOME


async def test_a_write_that_a_crash_interrupted_is_found_by_looking(stack: Stack, home: Path) -> None:
    stack.arm("after_effect", "vault_patch")
    run = await stack.create("change", capabilities=[handbook("write")])
    await stack.decide(await stack.checkpoint(run), "approve")
    await stack.start_worker()
    told = await stack.ended(run)
    assert stack.fired("after_effect")
    assert told[-1]["output_text"].startswith("wrote Home.md: ")
    assert home.read_text() == HOME.replace("ann", "ben")
