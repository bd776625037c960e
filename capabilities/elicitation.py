"""A server's question in the middle of a call: how a person is shown it, and which answers fit."""

import json
from collections.abc import Iterator

from capabilities import visible
from capabilities.arguments import Misfit, misfit
from protocol.mcp import Question
from protocol.noun import JSON, JSONObject


def subject_of(server: str, tool: str, question: Question) -> JSONObject:
    """What the checkpoint is about; its answer is checked against `fields`."""
    return {"server": server, "tool": tool, "message": question.message, "fields": question.fields}


def shown(server: str, tool: str, question: Question) -> str:
    """The words of the server never begin at the margin, so they can draw nothing of ours."""
    out = [
        f"The MCP server {visible.written(server)} asks in the middle of {visible.written(tool)}.",
        "What is answered is sent to it. Deny where it should not have this.",
        *(f"! {told}" for told in visible.deceptions(json.dumps(question.fields, ensure_ascii=False))),
        *(f"! {told}" for told in visible.deceptions(question.message)),
        "Message",
        *(f"  {line}" for line in visible.lines(question.message)),
        "Answer with an object of these fields",
        *_fields(question.fields),
    ]
    return "\n".join(out) + "\n"


def answer_fault(subject: JSONObject, answer: JSON) -> Misfit | None:
    """Why an answer is none to this question."""
    if not isinstance(answer, dict):
        return Misfit("", "it is not an object")
    fields = subject.get("fields")
    schema: JSONObject = fields if isinstance(fields, dict) else {}
    known = schema.get("properties")
    for name, value in answer.items():
        if not isinstance(known, dict) or name not in known:
            return Misfit(name, "the server did not ask for it")
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not texts and not isinstance(value, str | int | float | bool):
            return Misfit(name, "it is a text, a number, a truth or a list of texts")
    return misfit(schema, with_defaults(subject, answer))


def with_defaults(subject: JSONObject, answer: JSON) -> JSONObject:
    """What the server is told: a field that was left out has its default."""
    fields = subject.get("fields")
    properties = fields.get("properties") if isinstance(fields, dict) else None
    given: JSONObject = answer if isinstance(answer, dict) else {}
    about = properties.items() if isinstance(properties, dict) else ()
    defaults = {
        name: one["default"]
        for name, one in about
        if isinstance(one, dict) and one.get("default") is not None and name not in given
    }
    return {**given, **defaults}


def _fields(schema: JSONObject) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    needed = required if isinstance(required, list) else []
    if not isinstance(properties, dict) or not properties:
        yield "  (none: an empty object agrees)"
        return
    for name, about in properties.items():
        yield f"  {visible.written(name)}{' (required)' if name in needed else ''}"
        said = json.dumps(about, ensure_ascii=False)
        yield from (f"    {line}" for line in visible.lines(said))
