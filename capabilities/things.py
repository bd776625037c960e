"""What a question is about beside the tool, as the resources that rules name."""

from typing import Literal, NamedTuple

from capabilities.verdict import PolicyQuestion

_OF_TOOL = {"server": "McpServer", "skill": "Skill", "scope": "MemoryScope", "vault": "Vault", "host": "Host"}
_OF_RUN = {"target": "Target", "model": "Model", "host": "Host", "actor": "Actor"}


class Resource(NamedTuple):
    type: str
    id: str


class Thing(NamedTuple):
    """A resource, and what is done with it."""

    resource: Resource
    action: Literal["read", "write", "place", "spend"]


def things_of(question: PolicyQuestion) -> tuple[Thing, ...]:
    """A run is placed on a target, and spends on a model; both at a host and for an actor. A tool acts on the
    server, skill, scope or vault that an attribute names, and is placed where its run is."""
    found: list[Thing] = []
    if question.target is not None and (question.kind == "place" or question.source == "target"):
        found.append(Thing(Resource("Target", question.target), "place"))
    if question.kind == "place" or question.kind == "spend":
        named, action = _OF_RUN, question.kind
    else:
        named, action = _OF_TOOL, "read" if question.effect == "read_only" else "write"
    attributes = question.attributes
    found += [Thing(Resource(named[name], attributes[name]), action) for name in named if name in attributes]
    return tuple(dict.fromkeys(found))
