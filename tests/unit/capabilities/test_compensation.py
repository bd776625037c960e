"""Words for a person about undoing an act: declared with the tool, and a part of what a grant pins."""

from capabilities.catalogue import Catalogue, definition_digest
from capabilities.offer import Offer
from capabilities.render import render
from protocol.capability import ClientToolCapability
from protocol.digest import canonical
from tests.unit.capabilities.test_render import envelope


def test_what_leaves_the_workspace_says_how_it_can_be_undone() -> None:
    told = {tool.name: tool.compensation for tool in Catalogue().declared() if tool.compensation}
    assert set(told) == {"git_push", "open_pull_request"}
    assert told["open_pull_request"] == f"Close the pull request. {told['git_push']}"


def test_a_client_tool_may_declare_it_and_its_digest_covers_it() -> None:
    asked = ClientToolCapability(
        kind="client_tool", name="book", description="Books.", input_schema={}, compensation="Call the hotel."
    )
    [one] = Catalogue().offers(asked)
    [other] = Catalogue().offers(asked.model_copy(update={"compensation": None}))
    assert isinstance(one, Offer)
    assert isinstance(other, Offer)
    assert one.definition.compensation == "Call the hotel."
    assert one.digest == definition_digest(one.definition) != other.digest


def test_whoever_decides_is_shown_it_last() -> None:
    shown = render(canonical(envelope()), compensation="Call the hotel.")
    assert shown.endswith("How it can be undone\n  | Call the hotel.\n")
