"""Grants over memory: one scope each, reading unattended, writing asked for, tainted writing always."""

from capabilities.arguments import schema_fault
from capabilities.catalogue import Catalogue, definition_digest
from capabilities.memory import memory_tools
from capabilities.offer import Offer, Stock, shelf_mark
from capabilities.policy import Policy, shipped
from capabilities.resolve import ResolveRequest, resolve
from capabilities.verdict import Asker, PolicyQuestion
from protocol.capability import MemoryCapability, SnapshotDocument
from protocol.ids import RunId
from protocol.tool import Effect

SHIPPED = Policy.load([shipped()])
PROJECT = MemoryCapability(kind="memory", scope="project", access="write")
USER = MemoryCapability(kind="memory", scope="user", access="read")


def resolved(policy: Policy, *asked: MemoryCapability) -> SnapshotDocument:
    fetched = {
        shelf_mark(one): tuple(
            Offer(
                kind="memory",
                name=tool.name,
                source_identity="rhone:memory ",
                definition=tool,
                digest=definition_digest(tool),
                attributes={"scope": one.scope},
            )
            for tool in memory_tools(one)
        )
        for one in asked
    }
    request = ResolveRequest(run_id=RunId("run_1"), principal=Asker(id="ann"), capabilities=asked)
    return resolve(request, Stock(Catalogue(), fetched), policy)


def question(effect: Effect, *labels: str) -> PolicyQuestion:
    return PolicyQuestion(
        principal=Asker(id="ann"),
        tool="memory_write_project",
        kind="memory",
        source="memory",
        effect=effect,
        attributes={"scope": "project"},
        labels=labels,
        arguments={"key": "k", "text": "t"},
    )


def test_each_scope_has_tools_of_its_own_that_read_alone_or_write_too() -> None:
    document = resolved(SHIPPED, PROJECT, USER)
    assert [(grant.name, grant.approval, grant.attributes["scope"]) for grant in document.grants] == [
        ("memory_search_project", "auto", "project"),
        ("memory_read_project", "auto", "project"),
        ("memory_write_project", "ask", "project"),
        ("memory_delete_project", "ask", "project"),
        ("memory_search_user", "auto", "user"),
        ("memory_read_user", "auto", "user"),
    ]
    assert all(schema_fault(grant.definition.input_schema) is None for grant in document.grants)


def test_a_rule_over_a_scope_denies_its_tools() -> None:
    rule = '@id("team.no-project-memory") forbid (principal, action, resource is Tool) when { '
    rule += 'resource has scope && resource.scope == "project" && resource.effect != "read_only" };'
    document = resolved(Policy.load([shipped(), ("team.cedar", rule)]), PROJECT)
    assert [grant.name for grant in document.grants] == ["memory_search_project", "memory_read_project"]
    assert {denial.rule for denial in document.denials} == {"team.no-project-memory"}


def test_a_tainted_run_never_writes_unattended_whatever_is_permitted() -> None:
    rule = '@id("team.memory") permit (principal, action, resource is Tool) '
    rule += 'when { resource.source == "memory" };'
    policy = Policy.load([shipped(), ("team.cedar", rule)])
    assert policy.decide(question("idempotent_write")).answer == "allow"
    tainted = policy.decide(question("idempotent_write", "untrusted"))
    assert (tainted.answer, tainted.rule) == ("ask", "default.memory-tainted")
    assert policy.decide(question("read_only", "untrusted")).answer == "allow"
