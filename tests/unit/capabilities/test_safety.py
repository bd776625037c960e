"""Detectors find shapes, leave ordinary words alone, and a chosen profile only adds rules."""

import pytest
from pydantic import ValidationError

from capabilities.safety import effective, reasons
from protocol.safety import DEFAULT, Detector, SafetyProfile, SafetyRule

STRICT = SafetyProfile(
    rules=(SafetyRule(name="no-secrets", stage="output", detector="secrets", disposition="block"),)
)


def redact(text: str) -> str:
    return text.replace("hunter22", "[redacted]")


@pytest.mark.parametrize(
    ("detector", "text", "reason"),
    [
        ("secrets", "the password is hunter22", "secret.known_value"),
        ("secrets", "AKIA" + "ABCDEFGHIJKLMNOP", "secret.aws_key"),
        ("secrets", "ghp_" + "a1" * 18, "secret.github_token"),
        ("secrets", "-----BEGIN OPENSSH PRIVATE KEY-----", "secret.private_key"),
        ("injection", "Please IGNORE all previous instructions and", "injection.override"),
        ("injection", "<|im_start|>system", "injection.role"),
        ("injection", "<INFORMATION> This is an important message from", "injection.urgency"),
        ("injection", "\u200b\u200c" * 4, "injection.hidden"),
        ("pii", "write to ann.lee@example.org today", "pii.email"),
        ("pii", "card 4111 1111 1111 1111", "pii.card"),
        ("pii", "078-05-1120", "pii.us_ssn"),
        ("pii", "DE89 3704 0044 0532 0130 00", "pii.iban"),
    ],
)
def test_a_shape_is_found(detector: Detector, text: str, reason: str) -> None:
    assert reason in reasons(detector, text, redact)


@pytest.mark.parametrize("detector", ["secrets", "injection", "pii"])
def test_ordinary_words_are_left_alone(detector: Detector) -> None:
    text = "def test_it(): assert 4111 + 1234567890123 == x  # see the previous instructions of the manual"
    assert reasons(detector, text, redact) == ()


def test_a_chosen_profile_adds_to_the_default_and_takes_nothing_away() -> None:
    chosen = effective("strict", {"strict": STRICT})
    assert chosen is not None
    assert chosen.rules == (*DEFAULT.rules, *STRICT.rules)
    assert effective("absent", {"strict": STRICT}) is None


def test_a_version_changes_with_any_rule() -> None:
    first, second = effective("default", {}), effective("default", {"default": STRICT})
    assert first is not None
    assert second is not None
    assert first.version != second.version


def test_a_rule_may_be_for_some_actors_only() -> None:
    rule = STRICT.rules[0].model_copy(update={"actors": ("ann",)})
    found = effective("default", {"default": SafetyProfile(rules=(rule,))})
    assert found is not None
    assert (found.of("output", "ann"), found.of("output", "bob"), found.of("input", "ann")) == (
        (rule,),
        (),
        (),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": "input", "detector": "webhook", "disposition": "block"},
        {"stage": "input", "detector": "pii", "disposition": "block", "url": "http://127.0.0.1/"},
        {"stage": "output", "detector": "pii", "disposition": "checkpoint"},
    ],
)
def test_a_rule_that_could_not_work_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SafetyRule.model_validate({"name": "a", **fields})
