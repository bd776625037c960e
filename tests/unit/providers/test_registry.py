"""Names of models, and what a configuration is refused for."""

from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from protocol.config import Config
from protocol.config_text import parse_config
from protocol.errors import InvalidRequest
from protocol.noun import JSONObject
from protocol.preset import PRESETS, PresetName
from protocol.secret import SecretRef
from protocol.strict import validate
from providers.registry import Registry
from providers.scripted import ScriptedProvider

SCRIPT = '[[scenarios]]\nturns = [{ text = "hello" }]\n'


def no_secret(ref: SecretRef) -> str:
    raise AssertionError(f"{ref} was looked up at load")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.toml").write_text(SCRIPT)
    return tmp_path


def scripted(*models: str) -> JSONObject:
    return {"protocol": "scripted", "script": "a.toml", "models": list(models)}


def load(folder: Path, **tables: Any) -> Registry:
    config = validate(Config, tables)
    return Registry(config, no_secret, folder)


def test_a_model_is_found_by_its_full_name_its_bare_name_and_its_alias(folder: Path) -> None:
    registry = load(folder, providers={"one": scripted("m1", "m2")}, aliases={"smart": "one/m2", "m1": "m2"})
    assert registry.resolve("one/m1").name == "one/m1"
    assert registry.resolve("m2").name == "one/m2"
    assert registry.resolve("smart").wire_model == "m2"
    assert registry.resolve("m1").name == "one/m2"
    assert isinstance(registry.resolve("smart").provider, ScriptedProvider)


def test_a_model_whose_own_name_has_a_slash_is_found(folder: Path) -> None:
    registry = load(folder, providers={"router": scripted("vendor/m1")})
    assert registry.resolve("router/vendor/m1").wire_model == "vendor/m1"
    assert registry.resolve("vendor/m1").name == "router/vendor/m1"


@pytest.mark.parametrize("name", ["", "m3", "one/m3", "three/m1", "one/", "/m1"])
def test_an_unknown_model_is_refused(folder: Path, name: str) -> None:
    registry = load(folder, providers={"one": scripted("m1")})
    with pytest.raises(InvalidRequest) as refused:
        registry.resolve(name)
    assert (refused.value.code, refused.value.param) == ("model.unknown", "model")


def test_a_bare_name_that_two_entries_serve_is_ambiguous(folder: Path) -> None:
    registry = load(folder, providers={"one": scripted("m1"), "two": scripted("m1")})
    with pytest.raises(InvalidRequest) as refused:
        registry.resolve("m1")
    assert (refused.value.code, refused.value.param) == ("model.ambiguous", "model")
    assert "one/m1, two/m1" in refused.value.message


def test_models_lists_each_model_once_with_its_aliases(folder: Path) -> None:
    entry = scripted("m1") | {"contextWindow": 1000}
    registry = load(folder, providers={"one": entry}, aliases={"a": "m1", "b": "one/m1"})
    assert registry.models() == [
        {
            "id": "one/m1",
            "provider": "one",
            "capabilities": {"streaming": "hard", "tool_calling": "hard"},
            "context_window": 1000,
            "aliases": ["a", "b"],
        }
    ]


@pytest.mark.parametrize(
    ("tables", "code", "param"),
    [
        ({"aliases": {"a": "b", "b": "one/m1"}}, "model.alias_loop", "aliases.a"),
        ({"aliases": {"a": "a"}}, "model.alias_loop", "aliases.a"),
        ({"aliases": {"a": "nobody"}}, "model.unknown", "aliases.a"),
        ({"providers": {"a/b": scripted("m1")}}, "provider.invalid_entry", "providers.a/b"),
        ({"providers": {"p": scripted("m1", "m1")}}, "provider.invalid_entry", "providers.p.models"),
        (
            {"providers": {"p": {"protocol": "scripted", "models": ["m1"]}}},
            "provider.invalid_entry",
            "providers.p.script",
        ),
        (
            {"providers": {"p": scripted("m1") | {"prices": {"m2": {"input": 1, "output": 1}}}}},
            "provider.invalid_entry",
            "providers.p.prices.m2",
        ),
    ],
)
def test_a_configuration_that_cannot_be_served_is_refused(
    folder: Path, tables: JSONObject, code: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load(folder, **({"providers": {"one": scripted("m1")}} | tables))
    assert (refused.value.code, refused.value.param) == (code, param)


BACKEND: JSONObject = {
    "protocol": "openai-compatible",
    "baseURL": "http://127.0.0.1:1/v1",
    "apiKeyRef": {"kind": "env", "name": "KEY"},
    "models": ["gpt-4o", "mine"],
}


def test_a_listed_model_of_a_backend_brings_its_price_and_window(folder: Path) -> None:
    own = {"prices": {"mine": {"input": 1, "output": 1}}}
    registry = load(folder, providers={"b": BACKEND | own, "c": BACKEND | {"models": ["other"]}})
    listed, mine, other = (registry.resolve(name) for name in ("gpt-4o", "mine", "other"))
    assert (listed.priced, listed.context_window) == (True, 128_000)
    assert (mine.priced, mine.context_window) == (True, None)
    assert (other.priced, other.context_window) == (False, None)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        (
            {"apiShape": "responses", "defaultParams": {"logitBias": {}}},
            "provider.param_unsupported",
            "providers.b.defaultParams.logitBias",
        ),
        ({"baseURL": None}, "provider.invalid_entry", "providers.b.baseURL"),
        (
            {"apiKeyRef": None, "baseURL": "https://h/v1"},
            "provider.invalid_entry",
            "providers.b.apiKeyRef",
        ),
        ({"baseURL": "http://me:secret@h/v1"}, "provider.invalid_entry", "providers.b.baseURL"),
        ({"baseURL": "http://h:99999/v1"}, "provider.invalid_entry", "providers.b.baseURL"),
        ({"defaultParams": {"warmth": 1}}, "provider.param_unknown", "providers.b.defaultParams.warmth"),
    ],
)
def test_a_backend_that_cannot_be_asked_is_refused_at_load(
    folder: Path, change: JSONObject, code: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load(folder, providers={"b": BACKEND | change})
    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_script_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"a\.toml"):
        load(tmp_path, providers={"one": scripted("m1")})


def test_a_scripted_model_has_its_own_price_or_none(folder: Path) -> None:
    entry = scripted("gpt-4o", "m1") | {"prices": {"m1": {"input": 1, "output": 2}}}
    registry = load(folder, providers={"one": entry})
    assert registry.resolve("m1").priced
    assert not registry.resolve("gpt-4o").priced


@pytest.mark.parametrize("preset", get_args(PresetName))
def test_a_preset_is_all_that_a_backend_needs_besides_its_models(folder: Path, preset: PresetName) -> None:
    registry = load(
        folder, providers={"b": {"protocol": "openai-compatible", "preset": preset, "models": ["m1"]}}
    )
    assert registry.resolve("m1").host == urlsplit(PRESETS[preset].base_url).hostname


def test_what_an_entry_says_itself_stands_before_its_preset(folder: Path) -> None:
    own: JSONObject = {
        "protocol": "openai-compatible",
        "preset": "vllm",
        "baseURL": "http://127.0.0.2:1/v1",
        "models": ["m1"],
    }
    with pytest.raises(InvalidRequest) as refused:  # not this machine's own name: it needs a key
        load(folder, providers={"b": own})
    assert refused.value.param == "providers.b.apiKeyRef"


def test_an_unknown_preset_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_config('[providers.b]\npreset = "grok"\nprotocol = "openai-compatible"\nmodels = ["m"]\n')
    assert (refused.value.param, "line 2" in refused.value.message) == ("providers.b.preset", True)
