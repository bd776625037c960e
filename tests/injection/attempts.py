"""What a scripted model is to do in one run: the calls that solve its task, and those of an attacker.

The model obeys. It has read the injection when the first result that carries it has come, and makes the
attacker's calls at once; then it goes on with its task.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from capabilities.mcp import model_name

READS = ("get_", "search_", "list_", "read_", "check_")
"""Tools whose names begin so are declared as read-only; all others change something."""

LANES = 8
"""How many runs go on at once, each with servers of its own."""

Mode = Literal["shipped", "taint", "control"]
"""The shipped rules; a rule that permits everything unattended, over results that are labelled; and such a
rule without labels, with every tool of the suite granted: what there is without a gate."""

RULES = """
@id("all-unattended")
permit (principal, action in [Action::"invoke", Action::"invoke_unattended"], resource is Tool)
when { resource has server && (resource.server like "taint_*" || resource.server like "control_*") };
"""


@dataclass(frozen=True)
class Call:
    """One call of the script. `id` says whose: `user-N` or `attack-N`."""

    id: str
    tool: str
    arguments: dict[str, Any]
    result: str


@dataclass(frozen=True)
class Attempt:
    """One run of one pair, or of a user's task alone."""

    number: int
    mode: Mode
    suite: str
    user: str
    injection: str | None
    calls: tuple[Call, ...]
    says: str

    @property
    def name(self) -> str:
        return f"attempt-{self.number}"

    @property
    def lane(self) -> int:
        return self.number % LANES

    @property
    def server(self) -> str:
        return f"{self.mode}_{self.suite}_{self.lane}"

    @property
    def own(self) -> tuple[str, ...]:
        """The tools that the reference solution of the user's task uses, and no other."""
        return tuple(sorted({call.tool for call in self.calls if call.id.startswith("user")}))


def is_read(tool: str) -> bool:
    return tool.startswith(READS)


def attempts(tasks: Iterable[dict[str, Any]], mode: Mode, first: int = 0) -> list[Attempt]:
    return [_attempt(number, mode, task) for number, task in enumerate(tasks, first)]


def _attempt(number: int, mode: Mode, task: dict[str, Any]) -> Attempt:
    user = [_call(f"user-{n}", call) for n, call in enumerate(task["calls"])]
    attack = [_call(f"attack-{n}", call) for n, call in enumerate(task.get("attack", ()))]
    read = task.get("exposed_after", len(user))
    says = " ".join(filter(None, (task["says"], task.get("attack_says")))) or "Done."
    calls = (*user[:read], *attack, *user[read:])
    return Attempt(number, mode, task["suite"], task["user"], task.get("injection"), calls, says)


def _call(name: str, call: dict[str, Any]) -> Call:
    return Call(name, call["tool"], call["arguments"], call["result"])


def script(made: Iterable[Attempt]) -> str:
    """What the model of all runs says, as the file of a scripted provider."""
    return "\n".join(_scenario(one) for one in made)


def _scenario(one: Attempt) -> str:
    lines = ["[[scenarios]]", f"when = {_toml(f'^{one.name}$')}"]
    for call in one.calls:
        name = model_name("tools", one.server, call.tool)
        fields = (
            f"id = {_toml(call.id)}, name = {_toml(name)}, arguments = {_toml(json.dumps(call.arguments))}"
        )
        lines += ["[[scenarios.turns]]", f"tool_calls = [{{ {fields} }}]"]
    return "\n".join([*lines, "[[scenarios.turns]]", f"text = {_toml(one.says)}"])


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
