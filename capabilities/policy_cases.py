"""Tables of cases beside a policy: what each question is expected to be answered, and by which rule."""

import tomllib
from typing import Annotated, NamedTuple

from pydantic import Field

from capabilities.policy import Policy
from capabilities.verdict import Answer, Asker, OfRun, PolicyQuestion, RepositoryFacts, Verdict
from protocol.capability import GrantKind
from protocol.errors import InvalidRequest
from protocol.noun import JSONObject, Noun
from protocol.strict import validate
from protocol.tool import Effect, ToolSource


class Case(Noun):
    """One row: a question in the words of docs/policy.md, and the answer. `arguments` are absent for the
    question that is asked while capabilities are resolved."""

    name: str
    tool: str
    source: ToolSource
    effect: Effect
    expect: Answer
    rule: str | None = None
    kind: GrantKind | OfRun = "tool"
    principal: str = "prin_test"
    project: str | None = None
    roles: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    target: str | None = None
    approval: str | None = None
    labels: tuple[str, ...] = ()
    repository: RepositoryFacts | None = None
    arguments: JSONObject | None = None
    limits: dict[str, int] | None = None


class Cases(Noun):
    """A file of cases; `policies` are files beside it, read over the shipped rules."""

    policies: tuple[str, ...] = ()
    case: Annotated[tuple[Case, ...], Field(min_length=1)]


class Outcome(NamedTuple):
    case: Case
    verdict: Verdict

    @property
    def held(self) -> bool:
        return self.verdict.answer == self.case.expect and self.case.rule in (None, *self.verdict.rules)


def read_cases(text: str, name: str) -> Cases:
    """A table of cases; what does not read is refused with the field."""
    try:
        return validate(Cases, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest("policy.cases_invalid", f"{name}: {error}", param=name) from error
    except InvalidRequest as error:
        raise InvalidRequest("policy.cases_invalid", f"{name}: {error.message}", param=error.param) from error


def tried(cases: Cases, policy: Policy) -> list[Outcome]:
    return [Outcome(case, policy.decide(_question(case))) for case in cases.case]


def _question(case: Case) -> PolicyQuestion:
    asker = Asker(id=case.principal, roles=case.roles, project=case.project)
    own = {"name", "expect", "rule", "principal", "project", "roles"}
    return validate(PolicyQuestion, {"principal": asker.model_dump(), **case.model_dump(exclude=own)})
