"""The commands that try rules: on a table of cases, and on what was recorded."""

import asyncio
from pathlib import Path

import pytest
import typer

from capabilities.policy import Policy, shipped
from capabilities.verdict import Asker, PolicyQuestion
from cli.failure import Failure
from cli.policy import replay, try_cases
from protocol.ids import RunId
from protocol.noun import JSONObject
from records.database import Database
from records.hints import LocalHints
from records.writer import Writer
from tests.records.world import World

CASES = """policies = ["team.cedar"]
[[case]]
name = "nobody deletes"
tool = "bash"
source = "target"
effect = "workspace"
arguments = { command = "rm -r x" }
expect = "ask"
rule = "team.rm"
"""
RULE = """@id("team.rm") forbid (principal, action == Action::"invoke_unattended", resource == Tool::"bash")
when { context has arguments && context.arguments has command && context.arguments.command like "*rm -r*" };
"""


def test_cases_that_hold_end_well_and_one_that_does_not_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "cases.toml"
    table.write_text(CASES)
    (tmp_path / "team.cedar").write_text(RULE)
    try_cases([table])
    assert capsys.readouterr().out == "1 of 1 cases hold\n"
    (tmp_path / "team.cedar").write_text(RULE.replace("rm -r", "rmdir"))
    with pytest.raises(typer.Exit) as ended:
        try_cases([table])
    assert ended.value.exit_code == 1
    told = capsys.readouterr().out
    assert "nobody deletes\n  - ask by team.rm\n  + allow by default.workspace" in told
    assert "0 of 1 cases hold" in told


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nowhere"):
        try_cases([tmp_path / "nowhere.toml"])


async def record(database: Database) -> RunId:
    """A run with two verdicts over calls, under the shipped rules."""
    await asyncio.to_thread(database.migrate)
    hints = LocalHints()
    await hints.start()
    writer = Writer(database, hints)
    try:
        world = await World.make(database, writer)
        run_id = await world.run()
        rules = Policy.load([shipped()])
        for command in ("ls", "rm -r x"):
            question = PolicyQuestion(
                principal=Asker(id="prin_admin"),
                tool="bash",
                source="target",
                effect="workspace",
                arguments={"command": command},
            )
            verdict = rules.decide(question)
            body: JSONObject = {
                "tool_execution_id": "tool_1",
                "answer": verdict.answer,
                "rule": verdict.rule,
                "verdict": {"answer": verdict.answer, "rules": [*verdict.rules]},
            }
            said: JSONObject = {"question": question.model_dump(mode="json", exclude_none=True)}
            await world.commit(lambda tx, b=body, s=said: tx.attest(run_id, "gate", b, s), run_id)
        return run_id
    finally:
        await asyncio.to_thread(writer.close)


def test_replay_lists_every_verdict_that_would_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/rhone.db"
    database = Database.open(url, tmp_path / "blobs")
    try:
        run_id = asyncio.run(record(database))
    finally:
        database.close()
    candidate = tmp_path / "team.cedar"
    candidate.write_text("// nothing")
    replay([candidate], database_url=url, data=tmp_path)
    assert capsys.readouterr().out.startswith("1 runs, 2 verdicts, 0 changed")
    candidate.write_text(RULE)
    with pytest.raises(typer.Exit):
        replay([candidate], runs=f"id={run_id}", database_url=url, data=tmp_path)
    first, summary = capsys.readouterr().out.splitlines()
    assert first == (
        f'{run_id} tool_1 bash {{"command": "rm -r x"}}: allow (default.workspace) -> ask (team.rm)'
    )
    assert summary.startswith("1 runs, 2 verdicts, 1 changed")
    replay([candidate], runs="status=failed", database_url=url, data=tmp_path)
    assert capsys.readouterr().out.startswith("0 runs")


def test_a_filter_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="--runs"):
        replay([], runs="colour=red", data=tmp_path)
