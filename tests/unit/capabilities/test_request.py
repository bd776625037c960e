"""What a run asks for, checked and completed."""

import pytest

from capabilities.catalogue import Catalogue
from capabilities.request import check_request, unknown_tools, unsupported, wanted
from protocol.capability import Capability, ClientToolCapability, EvalCapability, ToolCapability
from protocol.errors import InvalidRequest
from protocol.run import TargetChoice, ToolReference

WORKSPACE = TargetChoice(kind="workspace", name="dev")
BASH = ToolCapability(kind="tool", name="bash")
EVAL = EvalCapability(kind="eval", ref="default")


def client(name: str = "pick_file", **fields: object) -> ClientToolCapability:
    given = {"kind": "client_tool", "name": name, "description": "Pick a file.", "input_schema": {}}
    return ClientToolCapability.model_validate(given | fields)


def names(*capabilities: Capability, repository: bool = False) -> list[str]:
    asked = wanted(capabilities, (), WORKSPACE, repository)
    return [one.name for one in asked if isinstance(one, ToolCapability | ClientToolCapability)]


STANDARD = ["bash", "read_file", "write_file", "edit_file", "glob", "grep", "save_artifact", "ask_user"]


def test_a_workspace_without_a_named_tool_gets_the_standard_ones() -> None:
    assert names() == STANDARD


def test_a_repository_adds_the_forge_tools() -> None:
    assert names(repository=True) == [*STANDARD, "git_push", "open_pull_request"]


def test_client_tools_come_on_top_of_the_standard_ones() -> None:
    assert names(client()) == ["pick_file", *STANDARD]


def test_naming_one_tool_names_them_all() -> None:
    assert names(BASH, repository=True) == ["bash"]


def test_shorthand_names_tools_too() -> None:
    reference = ToolReference(source="target", name="grep")
    assert wanted((), (reference,), WORKSPACE, False) == (ToolCapability(kind="tool", name="grep"),)


@pytest.mark.parametrize("target", [None, TargetChoice(kind="client", name="laptop")])
def test_a_run_without_a_workspace_gets_no_tool_that_it_does_not_name(target: TargetChoice | None) -> None:
    assert wanted((), (), target, False) == ()


@pytest.mark.parametrize(
    ("approvals", "kept"),
    [
        ((None, "auto"), "auto"),
        (("auto", "ask"), "ask"),
        (("ask", "auto"), "ask"),
        (("approve", None), "ask"),
        ((None, None), None),
    ],
)
def test_a_tool_that_is_named_twice_stands_once_with_the_stricter_approval(
    approvals: tuple[str | None, ...], kept: str | None
) -> None:
    asked = [BASH.model_copy(update={"approval": approval}) for approval in approvals]
    assert wanted(asked, (), WORKSPACE, False) == (BASH.model_copy(update={"approval": kept}),)


def test_two_capabilities_of_an_unbuilt_kind_both_stay() -> None:
    other = EVAL.model_copy(update={"ref": "other@1"})
    assert wanted((EVAL, other), (), None, False) == (EVAL, other)


def test_a_kind_that_is_not_built_is_named_with_its_place() -> None:
    assert unsupported((BASH, EVAL)) == (1, "eval")
    assert unsupported((BASH, client())) is None


def test_tools_that_do_not_exist_are_named_with_their_field() -> None:
    references = (
        ToolReference(source="native", name="open_pull_request"),
        ToolReference(source="target", name="open_pull_request"),
        ToolReference(source="native", name="nope"),
    )
    missing = unknown_tools((BASH, ToolCapability(kind="tool", name="no")), references, Catalogue())
    assert missing == (
        ("capabilities[1].name", "no"),
        ("tools[1].name", "open_pull_request"),
        ("tools[2].name", "nope"),
    )


@pytest.mark.parametrize(
    ("capabilities", "tools", "code", "param"),
    [
        ((EVAL,), (), "capability.unsupported", "capabilities[0].kind"),
        (
            (),
            (ToolReference(source="plugin", name="x"),),
            "capability.unsupported",
            "tools[0].source",
        ),
        ((ToolCapability(kind="tool", name="x"),), (), "capability.unknown_tool", "capabilities[0].name"),
        ((BASH, client("bash")), (), "capability.name_taken", "capabilities[1].name"),
        ((client(), client()), (), "capability.name_taken", "capabilities[1].name"),
        (
            (client(input_schema={"type": "array"}),),
            (),
            "capability.schema_invalid",
            "capabilities[0].input_schema",
        ),
    ],
)
def test_what_we_do_not_have_is_refused_with_the_field_that_asks_for_it(
    capabilities: tuple[Capability, ...], tools: tuple[ToolReference, ...], code: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_request(capabilities, tools, Catalogue())
    assert (refused.value.code, refused.value.param) == (code, param)


def test_what_we_have_is_taken() -> None:
    check_request((BASH, client()), (ToolReference(source="target", name="grep"),), Catalogue())
