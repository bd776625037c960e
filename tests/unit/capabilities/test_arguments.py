"""Arguments against a schema, in words that help."""

import time

import pytest

from capabilities.arguments import check_arguments, check_value, schema_fault
from capabilities.catalogue import Catalogue
from protocol.noun import JSONObject
from protocol.tool import ToolDefinition


def tool(name: str) -> ToolDefinition:
    definition = Catalogue().get(name)
    assert definition is not None
    return definition


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"command": "pytest"}, None),
        ({"command": "pytest", "timeout_ms": 1000, "description": "run the tests"}, None),
        ({}, "`command` is missing"),
        ({"command": 1}, "`command`: 1 is not of type 'string'"),
        ({"command": "x", "timeout_ms": True}, "`timeout_ms`: True is not of type 'integer'"),
        ({"command": "x", "timeout_ms": 0}, "`timeout_ms`: 0 is less than the minimum of 1"),
        (
            {"cmd": "x"},
            "`command` is missing; "
            "`cmd` is not an argument; there are `command`, `timeout_ms`, `description`",
        ),
    ],
)
def test_a_fault_names_the_argument_and_the_mend(arguments: JSONObject, told: str | None) -> None:
    assert check_arguments(tool("bash"), arguments) == told


def test_a_fault_inside_a_list_names_its_place() -> None:
    arguments: JSONObject = {"question": "Which?", "options": ["a", 2]}
    assert check_arguments(tool("ask_user"), arguments) == "`options[1]`: 2 is not of type 'string'"


def test_a_long_wrong_value_is_told_in_short() -> None:
    told = check_arguments(tool("bash"), {"command": ["x" * 100_000]})
    assert told is not None
    assert len(told) < 300


def test_many_faults_are_told_in_short() -> None:
    told = check_arguments(tool("bash"), {"command": "x", **{f"k{i}": i for i in range(50)}})
    assert told is not None
    assert told.endswith("; and 45 more")


def test_a_schema_that_refers_to_itself_without_an_end_is_a_fault_and_not_a_crash() -> None:
    told = check_value({"$ref": "#"}, {})
    assert told == "the schema refers to itself without an end, or to what is not there"


def test_a_regular_expression_of_a_schema_is_not_run() -> None:
    schema: JSONObject = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
    started = time.process_time()
    assert check_value(schema, {"x": "a" * 40 + "!"}) is None
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, None),
        ({"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}}, None),
        ({"type": "array"}, 'the schema of a tool\'s arguments has "type": "object"'),
        ({"properties": {"x": {"$ref": "https://example.com/x.json"}}}, "leaves the schema"),
        ({"patternProperties": {"^(a+)+$": {}}}, "`patternProperties` is not taken"),
        ({"type": "objekt"}, "not JSON Schema 2020-12"),
        ({"properties": []}, "not JSON Schema 2020-12"),
    ],
)
def test_a_schema_is_checked_before_a_tool_is_taken(schema: JSONObject, told: str | None) -> None:
    fault = schema_fault(schema)
    assert (fault is None) if told is None else (fault is not None and told in fault)
