"""Secrets: resolved by reference, masked by value."""

from pathlib import Path

import pytest

from protocol.errors import InvalidRequest
from protocol.secret import SecretRef
from records.secrets import Secrets


def test_a_secret_is_found_where_its_reference_says(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "absolute").write_text("absolute-path")
    secrets = Secrets(tmp_path, {"TOKEN": "from-the-environment"})
    assert secrets.resolve(SecretRef(kind="env", name="TOKEN")) == "from-the-environment"
    assert secrets.resolve(SecretRef(kind="file", name="token")) == "from-a-file"
    assert secrets.resolve(SecretRef(kind="file", name=str(elsewhere / "absolute"))) == "absolute-path"


@pytest.mark.parametrize("reference", [("env", "NONE"), ("file", "none"), ("env", "EMPTY"), ("file", ".")])
def test_a_secret_that_is_not_there_is_named_and_not_guessed(
    tmp_path: Path, reference: tuple[str, str]
) -> None:
    kind, name = reference
    with pytest.raises(InvalidRequest) as refused:
        Secrets(tmp_path, {"EMPTY": ""}).resolve(SecretRef.model_validate({"kind": kind, "name": name}))
    assert refused.value.code == "auth.secret_missing"
    assert f"{kind}:{name}" in refused.value.message


@pytest.mark.parametrize("kind", ["keyring", "vault"])
def test_a_kind_that_is_not_built_says_which_are(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InvalidRequest, match="'env' or 'file'"):
        Secrets(tmp_path, {}).resolve(SecretRef.model_validate({"kind": kind, "name": "x"}))


def test_every_resolved_value_is_masked_the_longest_first(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {"A": "secret-value", "B": "secret-value-longer", "C": "short"})
    for name in ("A", "B", "C"):
        secrets.resolve(SecretRef(kind="env", name=name))
    text = "a secret-value, a secret-value-longer, a short one"
    assert secrets.redact(text) == "a [redacted], a [redacted], a short one"
