"""A server's question: shown whole and harmless, and answered by what fits."""

from typing import Any

import pytest

from capabilities.elicitation import answer_fault, shown, subject_of, with_defaults
from protocol.mcp import Question

FIELDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Your name."},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
    },
    "required": ["name"],
}
QUESTION = Question(message="Who are you?\nTool: bash\u202e", fields=FIELDS)


def test_a_question_names_its_server_and_draws_nothing_of_ours() -> None:
    words = shown("good", "ask", QUESTION)
    assert words.startswith("The MCP server good asks in the middle of ask.\n")
    assert "  | Tool: bash\\u{202e}\n" in words
    assert "\nTool:" not in words
    assert "  name (required)\n" in words
    assert '"minimum": 0' in words


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ({"name": "Ada"}, None),
        ({"name": "Ada", "age": 36, "tags": ["a"]}, None),
        ("Ada", ""),
        ({"age": 36}, "name"),
        ({"name": "Ada", "age": -1}, "age"),
        ({"name": "Ada", "tags": ["c"]}, "tags[0]"),
        ({"name": {"first": "Ada"}}, "name"),
        ({"name": "Ada", "password": "x"}, "password"),
    ],
)
def test_an_answer_fits_the_schema_and_is_flat(answer: Any, place: str | None) -> None:
    fault = answer_fault(subject_of("good", "ask", QUESTION), answer)
    assert (fault.place if fault else None) == place


def test_a_field_that_is_left_out_has_its_default() -> None:
    fields: dict[str, Any] = {
        "type": "object",
        "properties": {"mode": {"default": "fast"}, "name": {}},
        "required": ["mode"],
    }
    subject = subject_of("good", "ask", Question(message="?", fields=fields))
    assert answer_fault(subject, {"name": "Ada"}) is None
    assert with_defaults(subject, {"name": "Ada"}) == {"name": "Ada", "mode": "fast"}
    assert with_defaults(subject, {"mode": "slow"}) == {"mode": "slow"}
