"""Detectors of safety rules, pure: a text gives reasons, or none. They find shapes, not meaning."""

import re
from collections.abc import Callable, Mapping

from protocol.digest import digest
from protocol.noun import Noun
from protocol.safety import DEFAULT, Detector, SafetyProfile, SafetyRule, Stage

_TOKENS: Mapping[str, re.Pattern[str]] = {
    "secret.private_key": re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"),
    "secret.aws_key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "secret.github_token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,90})\b"),
    "secret.slack_token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,80}"),
    "secret.api_key": re.compile(r"\b(?:sk|rk|pk)[-_](?:live|test|ant|proj)[-_][A-Za-z0-9_-]{16,200}"),
    "secret.rhone_key": re.compile(r"\brhone_sk_[A-Za-z0-9_]{16,100}"),
    "secret.jwt": re.compile(
        r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"
    ),
}
_MARKERS: Mapping[str, re.Pattern[str]] = {
    "injection.override": re.compile(
        r"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:the\s+|your\s+)?(?:previous|prior|above|earlier)\s+"
        r"(?:instructions?|prompts?|rules?|messages?)",
        re.IGNORECASE,
    ),
    "injection.role": re.compile(
        r"<\|(?:im_start|system|assistant)\|?>|\[/?INST\]|<</?SYS>>|</?system>", re.IGNORECASE
    ),
    "injection.urgency": re.compile(
        r"<(?:important|information)>|\b(?:important|urgent)\s+(?:message|instructions?)\s+(?:from|to|for)\b",
        re.IGNORECASE,
    ),
    "injection.hidden": re.compile("[\U000e0020-\U000e007f]{4}|[\u200b\u200c\u200d\u2060]{8}"),
}
_PII: Mapping[str, re.Pattern[str]] = {
    "pii.email": re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}\b"),
    "pii.iban": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "pii.us_ssn": re.compile(r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"),
}
_CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")


class Effective(Noun):
    """The rules of a run: those of the default and those that it chose, so that a choice only tightens."""

    name: str
    rules: tuple[SafetyRule, ...]

    @property
    def version(self) -> str:
        return f"{self.name}@{digest(self)}"

    def of(self, stage: Stage, actor_id: str | None) -> tuple[SafetyRule, ...]:
        return tuple(
            rule
            for rule in self.rules
            if rule.stage == stage and (not rule.actors or actor_id in rule.actors)
        )


def effective(name: str, declared: Mapping[str, SafetyProfile]) -> Effective | None:
    """None where there is no such profile."""
    default = declared.get("default", DEFAULT)
    chosen = default if name == "default" else declared.get(name)
    if chosen is None:
        return None
    more = () if name == "default" else chosen.rules
    return Effective(name=name, rules=(*default.rules, *more))


def reasons(detector: Detector, text: str, redact: Callable[[str], str]) -> tuple[str, ...]:
    """Why a text is not harmless; `redact` masks the secrets that this installation knows by value."""
    match detector:
        case "secrets":
            known = ("secret.known_value",) if redact(text) != text else ()
            return (*known, *_found(_TOKENS, text))
        case "injection":
            return _found(_MARKERS, text)
        case "pii":
            card = ("pii.card",) if any(_is_card(found[0]) for found in _CARD.finditer(text)) else ()
            return (*card, *_found(_PII, text))
        case "webhook":
            return ()


def _found(patterns: Mapping[str, re.Pattern[str]], text: str) -> tuple[str, ...]:
    return tuple(reason for reason, pattern in patterns.items() if pattern.search(text))


def _is_card(text: str) -> bool:
    """The check digit of Luhn."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
