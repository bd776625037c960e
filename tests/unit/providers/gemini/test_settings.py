"""Which default parameters an entry may set, and how a schema becomes the older subset."""

from pathlib import Path
from typing import Any

import pytest

from protocol.config import Config
from protocol.errors import InvalidRequest
from protocol.strict import validate
from providers.gemini.dialect import Gemini
from providers.gemini.params import read_params
from providers.gemini.schema import Cleaner
from providers.prices import Prices
from providers.registry import Registry
from tests.unit.providers.gemini.words import entry_of
from tests.unit.providers.loopback import Backend

SAFETY = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}


def test_every_parameter_has_its_place() -> None:
    generation: dict[str, Any] = {
        "temperature": 1,
        "topP": 0.5,
        "topK": 3,
        "maxOutputTokens": 100,
        "stopSequences": ["a"],
        "seed": 1,
        "presencePenalty": -1,
        "frequencyPenalty": 2.0,
        "responseLogprobs": True,
        "logprobs": 2,
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "1:1", "imageSize": "1K"},
        "speechConfig": {"languageCode": "de"},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    outside: dict[str, Any] = {
        "safetySettings": [SAFETY],
        "labels": {"a": "b"},
        "serviceTier": "flex",
        "store": False,
    }
    ours: dict[str, Any] = {"thinkingConfig": {"thinkingBudget": 50}, "structuredOutputs": False}
    params = read_params(generation | outside | ours, place="p")
    assert (params.generation(), params.outside()) == (generation, outside)
    assert (read_params({}, place="p").generation(), read_params({}, place="p").outside()) == ({}, {})


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"apiKey": "x"}, "provider.param_forbidden", "p.apiKey"),
        ({"labels": {"a": "Bearer abc"}}, "provider.param_secret", "p.labels.a"),
        ({"thinking_config": {}}, "provider.param_wire_shape", "p.thinking_config"),
        ({"cached_content": "x"}, "provider.param_wire_shape", "p.cached_content"),
        ({"cachedContent": "x"}, "provider.param_reserved", "p.cachedContent"),
        ({"threshold": "x"}, "provider.param_reserved", "p.threshold"),
        ({"candidateCount": 2}, "provider.param_reserved", "p.candidateCount"),
        ({"audioTimestamp": True}, "provider.param_unsupported", "p.audioTimestamp"),
        ({"warmth": 1}, "provider.param_unknown", "p.warmth"),
        ({"temperature": 3}, "provider.param_invalid", "p.temperature"),
        ({"safetySettings": [SAFETY | {"threshold": "x"}]}, "provider.param_invalid", None),
        ({"thinkingConfig": {"thinking_level": "low"}}, "provider.param_invalid", None),
        (
            {"thinkingConfig": {"thinkingLevel": "low", "thinkingBudget": 1}},
            "provider.param_invalid",
            "p.thinkingConfig",
        ),
        (
            {"thinkingConfig": {"thinkingBudget": 9}, "maxOutputTokens": 9},
            "provider.param_invalid",
            "p.thinkingConfig.thinkingBudget",
        ),
    ],
)
def test_a_parameter_that_is_not_ours_to_take_is_refused(
    params: dict[str, Any], code: str, param: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_params(params, place="p")
    assert refused.value.code == code
    assert param is None or refused.value.param == param


def test_an_entry_is_read_from_the_file_and_asked_by_its_models_names(tmp_path: Path) -> None:
    entry: Any = {
        "protocol": "gemini",
        "baseURL": "https://generativelanguage.googleapis.com",
        "apiKeyRef": {"kind": "env", "name": "KEY"},
        "models": ["gemini-3-pro"],
        "schemaForm": "openapi",
    }
    registry = Registry(validate(Config, {"providers": {"g": entry}}), lambda ref: "key", tmp_path)
    assert registry.resolve("gemini-3-pro").name == "g/gemini-3-pro"
    with pytest.raises(InvalidRequest, match="does not speak 'responses'"):
        Registry(
            validate(Config, {"providers": {"g": entry | {"apiShape": "responses"}}}),
            lambda ref: "key",
            tmp_path,
        )


@pytest.mark.parametrize("version", ["/v1", "/v1beta", "/x/v1beta/"])
def test_a_base_url_with_a_version_is_refused(backend: Backend, version: str) -> None:
    entry = entry_of(backend, base_url="http://h" + version)
    with pytest.raises(InvalidRequest, match="without a version"):
        Gemini(entry, place="providers.g", prices=Prices({}))


@pytest.mark.parametrize(
    ("schema", "cleaned", "dropped"),
    [
        ({}, {"type": "object"}, set[str]()),
        (
            {"type": "integer", "exclusiveMinimum": 0, "minimum": 0},
            {"type": "integer", "minimum": 0},
            {"exclusiveMinimum"},
        ),
        ({"const": 5}, {"type": "object"}, {"enum"}),
        ({"enum": ["a", "", None]}, {"enum": ["a"], "type": "string", "nullable": True}, set[str]()),
        (
            {"type": ["string", "integer", "null"]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
            set[str](),
        ),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, {"type": "string", "nullable": True}, set[str]()),
        (
            {"oneOf": [{"const": "a"}, {"type": "integer"}]},
            {"anyOf": [{"enum": ["a"], "type": "string"}, {"type": "integer"}]},
            set[str](),
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"b": {"multipleOf": 2}}, "required": ["b"]},
                ],
                "type": "object",
            },
            {"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"], "type": "object"},
            {"multipleOf"},
        ),
        (
            {
                "type": "array",
                "items": {"$ref": "#/$defs/a~1b", "description": "d"},
                "$defs": {"a/b": {"type": "string", "description": "x"}},
            },
            {"type": "array", "items": {"type": "string", "description": "d"}},
            set[str](),
        ),
        ({"type": "array"}, {"type": "array", "items": {}}, set[str]()),
        ({"$ref": "https://x.example/s"}, {"type": "object"}, {"$ref"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, {"type": "object"}, {"$ref"}),
    ],
)
def test_e126_a_schema_says_in_the_subset_what_can_be_said(
    schema: dict[str, Any], cleaned: dict[str, Any], dropped: set[str]
) -> None:
    cleaner = Cleaner(schema)
    assert (cleaner.cleaned(), cleaner.dropped) == (cleaned, dropped)


def test_e126_a_schema_that_grows_at_every_step_ends() -> None:
    node: Any = {"type": "object", "properties": {name: {"$ref": "#/$defs/node"} for name in "abcdefghij"}}
    cleaner = Cleaner({"$ref": "#/$defs/node", "$defs": {"node": node}})
    assert len(str(cleaner.cleaned())) < 100_000
    assert cleaner.dropped == {"$ref"}


def test_e126_a_schema_that_holds_itself_ends() -> None:
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    cleaner = Cleaner({"$ref": "#/$defs/node", "$defs": {"node": node}})
    assert str(cleaner.cleaned()).count("next") == 8
    assert cleaner.dropped == {"$ref"}
