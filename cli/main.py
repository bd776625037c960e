"""The command `rhone`: what it can do, each part loaded only when it is asked for."""

import importlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli.options import spelled_out


@dataclass(frozen=True)
class Entry:
    """Where a command stands (`module:name`) and what the list says about it."""

    place: str
    help: str

    def load(self, name: str) -> Any:
        module, _, member = self.place.partition(":")
        found = getattr(importlib.import_module(module), member)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(name)(spelled_out(found))
            found = single
        command = typer.main.get_command(found)
        command.name = name
        return command


COMMANDS = {
    "demo": Entry("cli.demo.command:demo", "Show one run from a failing test to a pull request."),
    "setup": Entry("cli.setup.command:setup", "Install and build what this machine lacks; safe to repeat."),
    "doctor": Entry("cli.doctor.command:doctor", "Say what is missing or weak here, and how to mend it."),
    "up": Entry("cli.up:up", "Run everything on this machine: Temporal, gateway and worker."),
    "init": Entry("cli.bootstrap:init", "Prepare a data directory and its database; safe to repeat."),
    "gateway": Entry("cli.processes:gateway", "Run one gateway by itself."),
    "worker": Entry("cli.processes:worker", "Run one worker by itself."),
    "egress": Entry("cli.processes:egress", "Run the egress proxy of one machine by itself."),
    "run": Entry("cli.runs:run", "Give the agent a task."),
    "runs": Entry("cli.runs:runs", "List runs, newest first."),
    "show": Entry("cli.runs:show", "Show one run: its state, its tools and what it waits for."),
    "watch": Entry("cli.runs:watch", "Follow a run's events until it ends."),
    "diff": Entry("cli.runs:diff", "Show what a run changed in its workspace."),
    "artifacts": Entry("cli.artifacts:artifacts", "List what a run kept, or fetch one of it."),
    "send": Entry("cli.steer:send", "Say something to a running agent."),
    "interrupt": Entry("cli.steer:interrupt", "Stop what a run does just now; it goes on afterwards."),
    "cancel": Entry("cli.steer:cancel", "End a run."),
    "checkpoints": Entry("cli.checkpoints:checkpoints", "List what waits for a decision."),
    "approve": Entry("cli.checkpoints:approve", "Show what would be done, and allow exactly that."),
    "deny": Entry("cli.checkpoints:deny", "Refuse what waits; the agent is told, and goes on."),
    "answer": Entry("cli.checkpoints:answer", "Answer a question, or say how an unknown outcome ended."),
    "policy": Entry("cli.policy:policy", "Try rules on a table of cases, or on what was recorded."),
    "skill": Entry("cli.skills:skill", "Import, list and show skills."),
    "mcp": Entry("cli.mcp:mcp", "List MCP servers, connect yourself, approve programs."),
    "snapshot": Entry("cli.snapshots:snapshot", "Show what a run may do, and compare two."),
    "sessions": Entry("cli.sessions:sessions", "List sessions, newest first."),
    "principals": Entry("cli.keys:principals", "List who may do what, or add somebody."),
    "key": Entry("cli.keys:key", "Create, list and revoke API keys."),
    "receipt": Entry("cli.receipts:receipt", "Export, verify and erase what proves a run."),
    "reconcile": Entry(
        "cli.reconcile.command:reconcile",
        "Check that all sides tell one story.",
    ),
    "version": Entry("cli.version:version", "Print the version."),
}


class Commands(TyperGroup):
    """The list knows every command by its line; only the one that is asked for is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = COMMANDS.get(cmd_name)
        return entry and TyperCommand(cmd_name, help=entry.help, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        entry = COMMANDS.get(args[0])
        if entry is None:
            return super().resolve_command(ctx, args)
        return args[0], entry.load(args[0]), args[1:]

    def invoke(self, ctx: Any) -> Any:
        # The list of commands is told without the imports that a command needs.
        from cli.failure import telling

        with telling(as_json="--json" in sys.argv):
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    help="Rhone: a stateful AI gateway with a governed agent runtime behind it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def rhone() -> None:
    """Without it the application would be a single command."""


def main() -> None:
    """Ends without the interpreter's teardown, in which the Temporal client sometimes crashes."""
    try:
        app(prog_name="rhone")
    except SystemExit as end:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    main()
