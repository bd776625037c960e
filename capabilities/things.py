"""What a call acts on or comes from, as the resources that rules name beside the tool."""

from typing import Literal, NamedTuple

from capabilities.verdict import PolicyQuestion

_OF_ATTRIBUTE = {"server": "McpServer", "skill": "Skill", "scope": "MemoryScope", "vault": "Vault"}


class Resource(NamedTuple):
    type: str
    id: str


class Thing(NamedTuple):
    """A resource above a tool, and what a call does with it."""

    resource: Resource
    action: Literal["read", "write", "place"]


def things_of(question: PolicyQuestion) -> tuple[Thing, ...]:
    """A tool of the workspace is placed there; an attribute names the server, skill, scope or vault."""
    found: list[Thing] = []
    if question.source == "target" and question.target is not None:
        found.append(Thing(resource=Resource(type="Target", id=question.target), action="place"))
    action = "read" if question.effect == "read_only" else "write"
    for name, kind in _OF_ATTRIBUTE.items():
        if name in question.attributes:
            resource = Resource(type=kind, id=question.attributes[name])
            found.append(Thing(resource=resource, action=action))
    return tuple(found)
