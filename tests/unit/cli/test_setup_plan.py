"""What set-up decides to do, before it touches anything."""

from dataclasses import replace

from cli.setup.plan import (
    BOOTSTRAP,
    COMPILER,
    ENGINE,
    GIT,
    POSTGRES,
    SIGNATURES,
    Machine,
    Plan,
    Wanted,
    plan,
)

EVERYTHING = Wanted(forge=True, postgres=True)
RUNTIME_ONLY = Wanted(forge=False, postgres=False)
BARE = Machine(
    root=True,
    programs=frozenset(),
    engine=False,
    image=False,
    go=False,
    temporal=False,
    agent=False,
    gitea=False,
    mcp=False,
)
READY = Machine(
    root=True,
    programs=frozenset({"git", "initdb"}),
    engine=True,
    image=True,
    go=True,
    temporal=True,
    agent=True,
    gitea=True,
    mcp=True,
)


def test_a_bare_machine_gets_everything() -> None:
    assert plan(BARE, EVERYTHING) == Plan(
        needs=(GIT, ENGINE, BOOTSTRAP, SIGNATURES, COMPILER, POSTGRES),
        parts=("packages", "engine", "go", "agent", "temporal", "image", "forge", "mcp"),
    )


def test_a_ready_machine_gets_nothing() -> None:
    assert plan(READY, EVERYTHING) == Plan(needs=(), parts=())


def test_a_running_engine_is_used_though_no_engine_is_installed_here() -> None:
    machine = replace(BARE, engine=True)
    assert ENGINE not in plan(machine, EVERYTHING).needs
    assert "engine" not in plan(machine, EVERYTHING).parts


def test_an_installed_engine_that_does_not_answer_is_only_started() -> None:
    machine = replace(READY, programs=READY.programs | {"dockerd"}, engine=False)
    assert plan(machine, EVERYTHING) == Plan(needs=(), parts=("engine",))


def test_without_the_forge_neither_it_nor_a_compiler_is_asked_for() -> None:
    made = plan(BARE, RUNTIME_ONLY)
    assert made.needs == (GIT, ENGINE, BOOTSTRAP, SIGNATURES)
    assert made.parts == ("packages", "engine", "go", "agent", "temporal", "image", "mcp")


def test_go_is_not_installed_where_nothing_is_left_to_build() -> None:
    machine = replace(READY, go=False)
    assert plan(machine, EVERYTHING).parts == ()
    assert plan(replace(machine, gitea=False), RUNTIME_ONLY).parts == ()


def test_changed_agent_sources_bring_go_back() -> None:
    assert plan(replace(READY, go=False, agent=False), EVERYTHING).parts == ("go", "agent")


def test_a_user_without_root_is_not_asked_for_bootstrap_packages() -> None:
    machine = replace(READY, root=False, image=False)
    assert plan(machine, EVERYTHING) == Plan(needs=(), parts=("image",))


def test_packages_are_those_of_the_needs_in_order() -> None:
    machine = replace(BARE, engine=True, image=True, gitea=True)
    assert plan(machine, EVERYTHING).packages == ("git", "ca-certificates", "postgresql")
