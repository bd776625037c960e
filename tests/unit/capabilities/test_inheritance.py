"""Whatever is asked for, a subrun holds a part of what its parent holds: tools, approval, arguments, hosts,
time, place, and levels below."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from capabilities.arguments import check_value
from capabilities.inheritance import DEPTH, NOT_HELD, Inherited, within
from capabilities.mcp import model_name
from capabilities.memory import memory_tools
from capabilities.resolve import ResolveRequest, resolve
from capabilities.resources import acting, resource_fault
from capabilities.spawn import SPAWN
from capabilities.verdict import Asker, PolicyQuestion, Verdict
from protocol.capability import (
    CapabilitySnapshot,
    EgressCapability,
    Grant,
    McpCapability,
    MemoryCapability,
    RepositoryGrant,
    SkillCapability,
    SnapshotDocument,
    ToolCapability,
    VaultCapability,
)
from protocol.errors import Refused
from protocol.ids import RunId, SnapshotId
from protocol.run import TargetChoice
from protocol.subrun import SubrunLimits
from protocol.tool import ToolDefinition

PAIRS = 10_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOOLS = ("bash", "read_file", "git_push", "web_fetch", "vault_read", "vault_patch", "pick", SPAWN)
VAULTS = ("handbook", "diary")
HOSTS = ("a.example", "b.example", "c.example")
POLICY = "sha256:policy"
MEMORY = [
    tool.name for tool in memory_tools(MemoryCapability(kind="memory", scope="project", access="write"))
]
SERVED = [
    model_name("tools", "s", "t"),
    model_name("resources", "s", "r://1"),
    model_name("prompts", "s", "p"),
]
EGRESS = ("egress:GET https://a.example/", "egress:GET https://b.example/")
KINDS = {
    **dict.fromkeys(TOOLS, "tool"),
    **dict.fromkeys(MEMORY, "memory"),
    **dict(zip(SERVED, ("mcp_tool", "mcp_resource", "mcp_prompt"), strict=True)),
    **dict.fromkeys(EGRESS, "egress"),
    "pick": "client_tool",
    "hardening@1": "skill",
    **{f"vault:{name}": "vault" for name in VAULTS},
}
SOURCES = {"bash": "target", "git_push": "forge", "vault_read": "vault", "vault_patch": "vault"}
CONSTRAINTS: tuple[dict[str, Any], ...] = (
    {},
    {"properties": {"path": {"enum": ["src/a", "src/b"]}}},
    {"properties": {"path": {"enum": ["src/b", "doc"]}}},
)
ARGUMENTS: tuple[dict[str, Any], ...] = ({}, {"path": "src/a"}, {"path": "src/b"}, {"path": "doc"})
REPOSITORY = RepositoryGrant(
    forge="forge", repository="forge/demo", base_branch="main", base_commit="a" * 40, branch="rhone/fix"
)


class Whim:
    """A policy that says anything, so that no rule of ours hides a fault of the intersection."""

    digest = POLICY
    engine = "whim"

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def decide(self, question: PolicyQuestion) -> Verdict:
        answer = self._chance.choice(("allow", "allow", "ask", "deny"))
        return Verdict(answer=answer, rules=("whim",), reason="", policy_digest=POLICY)


def some(chance: Random, of: Any) -> tuple[Any, ...]:
    return tuple(chance.sample(of, chance.randint(0, len(of))))


def grant(chance: Random, name: str) -> Grant:
    definition = ToolDefinition.model_construct(
        name=name,
        description=chance.choice(("does it", "does it otherwise")),
        input_schema={"type": "object"},
        source=SOURCES.get(name, "native"),
        effect="unknown",
        advisory=(),
        compensation=None,
    )
    vault = name.removeprefix("vault:")
    rule = {"rule": {"host": chance.choice(HOSTS)}}
    return Grant.model_construct(
        kind=KINDS[name],
        name=name,
        source_identity="rhone:egress/pypi" if name in EGRESS else "rhone:x",
        definition=definition,
        definition_digest=f"sha256:{definition.description}",
        effect="unknown",
        approval=chance.choice(("auto", "ask")),
        rules=("whim",),
        attributes={"vault": vault} if vault in VAULTS else {},
        argument_constraints=rule if name in EGRESS else chance.choice(CONSTRAINTS),
        hosts=some(chance, HOSTS),
        timeout_ms=chance.choice((None, 100, 200)),
        expires_at=chance.choice((None, NOW, NOW + timedelta(hours=1))),
    )


def asked(chance: Random) -> tuple[Any, ...]:
    """What somebody may ask for, held by the parent or not."""
    tools = [
        ToolCapability(kind="tool", name=name, approval=chance.choice((None, "auto", "ask")))
        for name in some(chance, [*TOOLS, *MEMORY, *SERVED])
    ]
    others = [
        McpCapability(
            kind="mcp", server=chance.choice("sx"), tools=("t",), resources=("r://1",), prompts=("p",)
        ),
        SkillCapability(kind="skill", ref=chance.choice(("hardening@1", "other@2"))),
        MemoryCapability(kind="memory", scope="project", access=chance.choice(("read", "write"))),
        *(
            VaultCapability(kind="vault", name=name, access=chance.choice(("read", "write")))
            for name in VAULTS
        ),
        VaultCapability(kind="vault", name="diary", access="write"),
        EgressCapability(kind="egress", bundle=chance.choice(("pypi", "npm"))),
    ]
    return (*tools, *some(chance, others))


def document(chance: Random, **fields: Any) -> SnapshotDocument:
    names = some(chance, list(KINDS))
    depth = chance.randint(1, 3)
    return SnapshotDocument.model_construct(
        **{
            "run_id": RunId("run_parent"),
            "requested": asked(chance),
            "grants": tuple(grant(chance, name) for name in names),
            "denials": (),
            "downgrades": (),
            "policy_digest": POLICY,
            "policy_engine": "whim",
            "principal": "prin_1",
            "target": chance.choice((None, {"kind": "workspace", "name": "dev"})),
            "repository": chance.choice((None, REPOSITORY)),
            "subruns": SubrunLimits(depth=depth, fan_out=4) if SPAWN in names else None,
            **fields,
        }
    )


def sealed(held: SnapshotDocument) -> CapabilitySnapshot:
    return CapabilitySnapshot.model_construct(
        id=SnapshotId("capsnap_1"),
        digest="sha256:parent",
        document=held,
        signature="",
        key_id="",
        created_at=NOW,
    )


def spawned(chance: Random, parent: CapabilitySnapshot) -> SnapshotDocument:
    """A subrun as it is resolved: its request against what its parent holds."""
    held = parent.document
    request = ResolveRequest.model_construct(
        run_id=RunId("run_child"),
        principal=Asker(id="prin_1"),
        capabilities=asked(chance),
        tools=(),
        target=chance.choice((None, TargetChoice(kind="workspace", name="dev"))) if held.target else None,
        repository=held.repository,
        labels=(),
    )
    return within(resolve(request, Inherited(parent), Whim(chance)), parent)


def forged(chance: Random, parent: CapabilitySnapshot) -> SnapshotDocument:
    """A document that nobody resolved: grants of its own making, with a depth of its own."""
    place = {"target": parent.document.target, "repository": parent.document.repository}
    return within(document(chance, subruns=SubrunLimits(depth=9, fan_out=99), **place), parent)


def excess(child: SnapshotDocument, parent: SnapshotDocument) -> list[str]:
    """What a subrun holds beyond its parent, told without the code under test: by what each could do."""
    found: list[str] = []
    held = {one.name: one for one in parent.grants}
    for one in child.grants:
        of = held.get(one.name)
        if of is None or (
            one.kind,
            one.source_identity,
            one.definition,
            one.definition_digest,
            one.attributes,
        ) != (
            of.kind,
            of.source_identity,
            of.definition,
            of.definition_digest,
            of.attributes,
        ):
            found.append(f"{one.name}: not held")
            continue
        wider = {
            "approval": of.approval == "ask" and one.approval != "ask",
            "hosts": not set(one.hosts) <= set(of.hosts),
            "time limit": of.timeout_ms is not None and (one.timeout_ms or 10**9) > of.timeout_ms,
            "expiry": of.expires_at is not None
            and (one.expires_at is None or one.expires_at > of.expires_at),
            "way out": one.kind == "egress" and one.argument_constraints != of.argument_constraints,
            "arguments": any(
                check_value(one.argument_constraints, said) is None
                and check_value(of.argument_constraints, said) is not None
                for said in ARGUMENTS
            ),
        }
        found += [f"{one.name}: {what}" for what, is_wider in wider.items() if is_wider]
    depth, of_parent = child.subruns, parent.subruns
    if depth is not None and (
        of_parent is None or depth.depth >= of_parent.depth or depth.fan_out > of_parent.fan_out
    ):
        found.append("levels")
    if (depth is None) != (SPAWN not in {one.name for one in child.grants}):
        found.append("spawns without levels")
    if child.target not in (None, parent.target) or child.repository not in (None, parent.repository):
        found.append("place")
    if (child.policy_digest, child.safety_profile) != (parent.policy_digest, parent.safety_profile):
        found.append("rules")
    return found + [f"writes {name}" for name in VAULTS if writes(child, name) and not writes(parent, name)]


def writes(held: SnapshotDocument, vault: str) -> bool:
    """Whether a patch of one of the vault's notes would get through to it."""
    patch = next((one for one in held.grants if one.name == "vault_patch"), None)
    if patch is None:
        return False
    said: dict[str, Any] = {"vault": vault, "path": "a.md", "patch": "@@"}
    return resource_fault(sealed(held), acting(patch, None), said) is None


@pytest.mark.parametrize("pairs", [300, pytest.param(PAIRS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("made", [spawned, forged])
def test_a_subrun_is_always_a_part_of_its_parent(made: Any, pairs: int) -> None:
    chance = Random(f"SBX-09 {made.__name__}")
    granted = 0
    for _ in range(pairs):
        parent = sealed(document(chance))
        child = made(chance, parent)
        assert excess(child, parent.document) == []
        granted += len(child.grants)
    assert granted > pairs // 2


def test_a_line_of_subruns_only_ever_holds_less() -> None:
    chance = Random("a line")
    for _ in range(60):
        held = [document(chance, subruns=SubrunLimits(depth=3, fan_out=4))]
        while len(held) < 6:
            held.append(spawned(chance, sealed(held[-1])))
            assert excess(held[-1], held[0]) == []
        assert held[-1].subruns is None


def test_the_oracle_sees_what_is_wider() -> None:
    chance = Random("wider")
    seen = {
        words.partition(": ")[2] or words
        for _ in range(600)
        for words in excess(document(chance), document(chance))
    }
    assert seen >= {"not held", "approval", "hosts", "time limit", "expiry", "arguments", "place", "levels"}
    assert seen & {f"writes {name}" for name in VAULTS}


def test_a_subrun_names_the_authority_that_it_is_a_part_of() -> None:
    chance = Random("name")
    parent = sealed(document(chance))
    named = spawned(chance, parent).parent
    assert named is not None
    assert (named.run_id, named.snapshot_id, named.digest) == ("run_parent", "capsnap_1", "sha256:parent")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policy_digest", "sha256:other"),
        ("principal", "prin_2"),
        ("target", {"kind": "workspace", "name": "other"}),
        ("repository", REPOSITORY.model_copy(update={"branch": "main"})),
    ],
)
def test_a_document_of_another_place_is_refused(field: str, value: Any) -> None:
    place = {"target": {"kind": "workspace", "name": "dev"}, "repository": REPOSITORY}
    parent = sealed(document(Random(1), **place))
    with pytest.raises(Refused, match="subrun's"):
        within(document(Random(2), **{**place, field: value}), parent)


def test_what_is_not_handed_down_is_denied_by_name() -> None:
    chance = Random(3)
    bash, spawn = grant(chance, "bash"), grant(chance, SPAWN)
    parent = sealed(document(chance, grants=(bash, spawn), subruns=SubrunLimits(depth=1, fan_out=4)))
    shelf = Inherited(parent)
    [held] = shelf.offers(ToolCapability(kind="tool", name="bash"))
    assert (held.name, getattr(held, "digest", None)) == ("bash", bash.definition_digest)
    for name, rule in (("git_push", NOT_HELD), (SPAWN, DEPTH)):
        [missing] = shelf.offers(ToolCapability(kind="tool", name=name))
        assert (missing.name, getattr(missing, "rule", None)) == (name, rule)
