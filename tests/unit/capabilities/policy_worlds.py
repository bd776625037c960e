"""Random policies that are known twice: as Cedar, and as plain conditions that Python evaluates by itself."""

from random import Random
from typing import NamedTuple

from capabilities.verdict import Answer, Asker, PolicyQuestion

TOOLS = ("bash", "git_push", "fetch", "search")
SOURCES = ("target", "forge", "native", "client")
EFFECTS = ("read_only", "workspace", "idempotent_write", "non_idempotent_write", "unknown")
ROLES = ("operator", "service", "admin")
PROJECTS = ("proj_a", "proj_b")
COMMANDS = ("ls", "rm -r x", "make", "")
BOTH = ("invoke", "invoke_unattended")


class PlainRule(NamedTuple):
    """One rule: all conditions that are not None have to hold."""

    id: str
    permits: bool
    actions: tuple[str, ...] = BOTH
    role: str | None = None
    project: str | None = None
    tool: str | None = None
    source: str | None = None
    effect: str | None = None
    label: str | None = None
    command: str | None = None

    def cedar(self) -> str:
        who = "principal" if self.role is None else f'principal in Role::"{self.role}"'
        actions = ", ".join(f'Action::"{name}"' for name in self.actions)
        what = "resource is Tool" if self.tool is None else f'resource == Tool::"{self.tool}"'
        held: list[str | None] = [
            self.project and f'principal in Project::"{self.project}"',
            self.source and f'resource.source == "{self.source}"',
            self.effect and f'resource.effect == "{self.effect}"',
            self.label and f'context.labels.contains("{self.label}")',
            None
            if self.command is None
            else "context has arguments && context.arguments has command"
            f' && context.arguments.command == "{self.command}"',
        ]
        when = " && ".join(one for one in held if one) or "true"
        effect = "permit" if self.permits else "forbid"
        return f'@id("{self.id}") {effect} ({who}, action in [{actions}], {what}) when {{ {when} }};'

    def holds(self, question: PolicyQuestion, action: str) -> bool:
        arguments = question.arguments or {}
        return (
            action in self.actions
            and self.role in (None, *question.principal.roles)
            and self.project in (None, question.principal.project)
            and self.tool in (None, question.tool)
            and self.source in (None, question.source)
            and self.effect in (None, question.effect)
            and self.label in (None, *question.labels)
            and self.command in (None, arguments.get("command"))
        )


def text_of(rules: list[PlainRule]) -> str:
    return "\n".join(rule.cedar() for rule in rules)


def expected(rules: list[PlainRule], question: PolicyQuestion) -> tuple[Answer, tuple[str, ...]]:
    """The answer and the rules that cause it, by the words of docs/policy.md."""
    (invoke, by), (unattended, then) = (_asked(rules, question, action) for action in BOTH)
    if not invoke:
        return "deny", by or ("policy.default",)
    return ("allow", then) if unattended else ("ask", then or by)


def _asked(rules: list[PlainRule], question: PolicyQuestion, action: str) -> tuple[bool, tuple[str, ...]]:
    holding = [rule for rule in rules if rule.holds(question, action)]
    forbidding = sorted(rule.id for rule in holding if not rule.permits)
    permitting = sorted(rule.id for rule in holding if rule.permits)
    return (False, tuple(forbidding)) if forbidding else (bool(permitting), tuple(permitting))


def a_rule(random: Random, name: str) -> PlainRule:
    def maybe(values: tuple[str, ...]) -> str | None:
        return random.choice(values) if random.random() < 0.3 else None

    return PlainRule(
        id=name,
        permits=random.random() < 0.7,
        actions=random.choice((BOTH, BOTH[:1], BOTH[1:])),
        role=maybe(ROLES),
        project=maybe(PROJECTS),
        tool=maybe(TOOLS),
        source=maybe(SOURCES),
        effect=maybe(EFFECTS),
        label=maybe(("untrusted", "private")),
        command=maybe(COMMANDS),
    )


def rules(random: Random, most: int = 8) -> list[PlainRule]:
    return [a_rule(random, f"r{number}") for number in range(random.randint(0, most))]


def a_question(random: Random, tool: str | None = None) -> PolicyQuestion:
    return PolicyQuestion.model_validate(
        {
            "principal": Asker(
                id=random.choice(("prin_1", 'prin_"2')),
                roles=tuple(random.sample(ROLES, random.randint(0, 3))),
                project=random.choice((None, *PROJECTS)),
            ),
            "tool": tool or random.choice(TOOLS),
            "source": random.choice(SOURCES),
            "effect": random.choice(EFFECTS),
            "target": random.choice((None, "workspace")),
            "labels": tuple(random.sample(("untrusted", "private"), random.randint(0, 2))),
            "arguments": random.choice((None, {}, {"command": random.choice(COMMANDS)})),
        }
    )


def mutated(random: Random, old: list[PlainRule]) -> list[PlainRule]:
    """The same rules with one dropped, added, turned round, or changed in one condition."""
    new = list(old)
    at = random.randrange(len(new)) if new else 0
    match random.choice(("drop", "add", "turn", "narrow")) if new else "add":
        case "drop":
            del new[at]
        case "add":
            new.insert(at, a_rule(random, "added"))
        case "turn":
            new[at] = new[at]._replace(permits=not new[at].permits)
        case _:
            new[at] = a_rule(random, new[at].id)
    return new
