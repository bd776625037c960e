"""Commands about rules: try them on a table of cases, or on what was recorded."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from capabilities.policy import Policy, shipped
from capabilities.policy_cases import Outcome, read_cases, tried
from capabilities.policy_layers import Layers
from capabilities.replay import Change, Recorded, Replay
from capabilities.verdict import Answer, PolicyQuestion
from cli import show as tell
from cli.failure import REFUSED, Failure
from cli.home import Home
from cli.options import AsJson, DataDir
from cli.settings import read_settings
from protocol.noun import Noun
from records import project_policies, shadow
from records.database import Database
from records.rulings import FILTERS, Ruled, rulings

policy = typer.Typer(
    help="Try rules on a table of cases, or on what was recorded.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@policy.command("test")
def try_cases(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tables of cases (TOML).")],
    as_json: AsJson = False,
) -> None:
    """Ask the rules what a table of cases expects; ends with 1 where an answer is another one."""
    found: list[tuple[Path, Outcome]] = []
    for file in files:
        cases = read_cases(_text(file), file.name)
        rules = Policy.load([shipped(), *_named([file.parent / name for name in cases.policies])])
        found += [(file, outcome) for outcome in tried(cases, rules)]
    failed = [(file, outcome) for file, outcome in found if not outcome.held]
    if as_json:
        tell.as_json({"cases": len(found), "failed": [_told(file, outcome) for file, outcome in failed]})
    else:
        for file, outcome in failed:
            _differ(file, outcome)
        print(f"{len(found) - len(failed)} of {len(found)} cases hold")
    if failed:
        raise typer.Exit(REFUSED)


@policy.command("replay")
def replay(
    files: Annotated[
        list[Path],
        typer.Option("--policy", metavar="FILE", help="The candidate; read over the shipped rules."),
    ],
    runs: Annotated[
        str, typer.Option(metavar="FILTER", help=f"`all`, or NAME=VALUE[,...] of {', '.join(FILTERS)}.")
    ] = "all",
    database_url: Annotated[
        str | None, typer.Option(help="Database; else the data directory's SQLite file.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List every recorded verdict that a candidate would change; ends with 1 if there is one."""
    candidate = Layers(Policy.load([shipped(), *_named(files)]))
    wanted = _filter(runs)
    home = Home(read_settings(data=data).data)
    database = Database.open(database_url or f"sqlite:///{home.database}", home.root / "blobs")
    replaying = Replaying(candidate)
    try:
        changes = asyncio.run(database.read(lambda c: list(replaying.changes(c, wanted))))
    finally:
        database.close()
    summary: dict[str, Any] = {
        "runs": len(replaying.runs),
        "verdicts": replaying.replay.decided,
        "changed": len(changes),
        "same_answer_by_other_rules": replaying.replay.by_other_rules,
        "erased": replaying.erased,
    }
    if as_json:
        tell.as_json(summary | {"changes": [_change(change) for change in changes]})
    else:
        for change in changes:
            print(_line(change))
        print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary.items()))
    if changes:
        raise typer.Exit(REFUSED)


@policy.command("shadow")
def list_differences(
    runs: Annotated[
        str, typer.Option(metavar="FILTER", help="`all`, or `run_id=...`, `project_id=...`.")
    ] = "all",
    limit: Annotated[int, typer.Option(help="How many, the latest first.")] = 50,
    database_url: Annotated[
        str | None, typer.Option(help="Database; else the data directory's SQLite file.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what the shadow policy would have said otherwise."""
    wanted = _filter(runs, ("run_id", "project_id"))
    home = Home(read_settings(data=data).data)
    database = Database.open(database_url or f"sqlite:///{home.database}", home.root / "blobs")
    try:
        found = asyncio.run(database.read(lambda c: shadow.differences(c, wanted, limit)))
    finally:
        database.close()
    if as_json:
        tell.as_json([one.model_dump(mode="json") for one in found])
        return
    rows = [
        (one.run_id, one.execution or "resolve", one.tool, f"{one.answer} ({one.rule})", would)
        for one in found
        if (would := f"{one.would_answer} ({one.would_rule})")
    ]
    tell.table(("RUN", "CALL", "TOOL", "ANSWER", "WOULD BE"), rows, empty="no differences")


class _Said(Noun):
    """A verdict as a receipt keeps it."""

    answer: Answer
    rules: tuple[str, ...]


class Replaying:
    """Recorded verdicts, each under the candidate as the project of its run tightens it."""

    def __init__(self, candidate: Layers) -> None:
        self._candidate = candidate
        self._of_project: dict[str, Policy] = {}
        self.replay = Replay()
        self.runs: set[str] = set()
        self.erased = 0

    def changes(self, connection: Connection, wanted: dict[str, str]) -> Iterator[Change]:
        for ruled in list(rulings(connection, wanted)):
            self.runs.add(ruled.run_id)
            if ruled.question is None:
                self.erased += 1
                continue
            yield from self.replay.changes([_recorded(ruled)], self._policy(connection, ruled))

    def _policy(self, connection: Connection, ruled: Ruled) -> Policy:
        found = self._of_project.get(ruled.tenant.project_id)
        if found is None:
            holding = project_policies.holding(connection, ruled.tenant)
            found = self._candidate.over([(one.name, one.text) for one in holding])
            self._of_project[ruled.tenant.project_id] = found
        return found


def _recorded(ruled: Ruled) -> Recorded:
    said = _Said.model_validate(ruled.verdict)
    return Recorded(
        run_id=ruled.run_id,
        ordinal=ruled.ordinal,
        execution=ruled.execution,
        question=PolicyQuestion.model_validate(ruled.question),
        answer=said.answer,
        rules=said.rules,
    )


def _filter(text: str, names: Sequence[str] = FILTERS) -> dict[str, str]:
    if text == "all":
        return {}
    pairs = [part.partition("=") for part in text.split(",")]
    if any(not mark or name not in names for name, mark, _ in pairs):
        raise Failure(f"--runs: it is `all`, or NAME=VALUE[,...] of {', '.join(names)}; not {text!r}")
    return {name: value for name, _, value in pairs}


def _named(files: list[Path]) -> list[tuple[str, str]]:
    return [(file.name, _text(file)) for file in files]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error


def _differ(file: Path, outcome: Outcome) -> None:
    case, verdict = outcome.case, outcome.verdict
    print(f"{file}: {case.name}")
    print(f"  - {case.expect}" + (f" by {case.rule}" if case.rule else ""))
    print(f"  + {verdict.answer} by {', '.join(verdict.rules)}  ({verdict.reason})")


def _told(file: Path, outcome: Outcome) -> dict[str, Any]:
    expected = {"expected": outcome.case.expect, "rule": outcome.case.rule}
    return {
        "file": str(file),
        "case": outcome.case.name,
        **expected,
        **outcome.verdict.model_dump(mode="json"),
    }


def _change(change: Change) -> dict[str, Any]:
    was, now = change
    return {
        "run_id": was.run_id,
        "tool_execution_id": was.execution,
        "tool": was.question.tool,
        "arguments": was.question.arguments,
        "was": {"answer": was.answer, "rules": was.rules},
        "now": {"answer": now.answer, "rules": now.rules},
    }


def _line(change: Change) -> str:
    was, now = change
    where = was.execution or "resolve"
    said = "" if was.question.arguments is None else " " + json.dumps(was.question.arguments)[:120]
    verdicts = f"{was.answer} ({', '.join(was.rules)}) -> {now.answer} ({', '.join(now.rules)})"
    return f"{was.run_id} {where} {was.question.tool}{said}: {verdicts}"
