"""What a rule permits of a request, and what a box is told."""

import pytest
from pydantic import ValidationError

from capabilities.egress import (
    BUNDLES,
    Asked,
    Unruled,
    check_egress,
    effect_of,
    fits,
    passage,
    permits,
    rules_of,
    title,
)
from capabilities.policy import Policy, shipped
from capabilities.verdict import PolicyQuestion
from protocol.capability import EgressCapability
from protocol.egress import Binding, EgressEntry, EgressRule, GrantedEgress
from protocol.errors import InvalidRequest

READ = GrantedEgress(rule=EgressRule(host="api.test", paths=("/v1/*",)))
TUNNEL = GrantedEgress(rule=EgressRule(host="api.test", tunnel=True))
BOUND = GrantedEgress(
    rule=EgressRule(host="api.test", paths=("/v1/**",), methods=("GET", "POST"), credential="house"),
    binding=Binding(name="house", variable="HOUSE", methods=("GET",), paths=("/v1/x",)),
)


def asked(path: str = "/v1/x", **fields: object) -> Asked:
    given = {"scheme": "https", "host": "api.test", "port": 443, "method": "GET", "path": path}
    return Asked.model_validate(given | fields)


def test_a_request_is_permitted_by_the_rule_that_names_all_of_it() -> None:
    assert permits([READ], asked()) == READ
    assert permits([READ, BOUND], asked()) == BOUND
    for rule, fields in {
        "egress.host": ({"host": "other.test"}, {"port": 8443}, {"scheme": "http", "port": 80}),
        "egress.method": ({"method": "POST"}, {"method": "get"}),
        "egress.path": ({"path": "/v2"}, {"path": "/v1/x/y"}),
    }.items():
        for one in fields:
            answer = permits([READ], asked(**one))
            assert isinstance(answer, Unruled)
            assert answer.rule == rule, one


def test_no_rule_permits_nothing() -> None:
    assert isinstance(permits([], asked()), Unruled)
    assert isinstance(passage([], "api.test", 443), Unruled)
    for nothing in ({"methods": ()}, {"paths": ()}):
        rule = GrantedEgress(rule=EgressRule.model_validate({"host": "api.test", **nothing}))
        assert isinstance(permits([rule], asked()), Unruled)


def test_a_connection_is_seen_into_wherever_a_rule_says_more_than_its_host() -> None:
    assert passage([TUNNEL], "api.test", 443) == "tunnel"
    assert passage([TUNNEL, READ], "api.test", 443) == "seen"
    assert isinstance(permits([TUNNEL], asked()), Unruled)


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/../v2", "/v1/%2e%2e/v2", "/v1/..%2fv2", "/v1/%252e%252e/v2", "/v1/..;/v2", "/v1/.;x/v2"),
        *("//v1/x", "/v1//x", "/v1/\\..\\v2", "/v1/%5c..", "/v1/%00", "/v1/#/v2", "/V1/x", "/v1x"),
    ],
)
def test_a_path_that_can_be_read_in_two_ways_fits_no_pattern(path: str) -> None:
    assert not fits(("/v1/**", "/v1/*"), path)
    assert fits(("/**",), path)


def test_a_star_stays_in_its_segment_and_two_do_not() -> None:
    assert fits(("/a/*/c",), "/a/b/c") and not fits(("/a/*/c",), "/a/b/b/c")
    assert fits(("/a/**",), "/a/b/c") and not fits(("/a/**",), "/b/a/c")
    assert fits(("/%61/x",), "/a/x") is False
    assert fits(("/a/x",), "/%61/x")


def test_the_name_of_a_grant_says_all_of_its_rule() -> None:
    assert title(READ.rule) == "egress:GET,HEAD https://api.test/v1/*"
    assert title(BOUND.rule) == "egress:GET,POST https://api.test/v1/** as house"
    assert title(TUNNEL.rule) == "egress:tunnel api.test:443"
    assert title(EgressRule(host="a.test", scheme="http", port=8080, methods=())) == (
        "egress:nothing http://a.test:8080/**"
    )


def test_a_command_of_a_box_that_reaches_out_asks_once_it_could_carry_secrets_to_strangers() -> None:
    policy = Policy.load([shipped()])

    def answer(attributes: dict[str, str], *labels: str) -> str:
        question = {"principal": {"id": "prin_1"}, "tool": "bash", "source": "target", "effect": "workspace"}
        asked = PolicyQuestion.model_validate({**question, "attributes": attributes, "labels": labels})
        return policy.decide(asked).answer

    assert answer({}, "private", "untrusted") == "allow"
    assert answer({"egress": "granted"}, "private") == "allow"
    assert answer({"egress": "granted"}, "private", "untrusted") == "ask"


def test_only_reading_is_read_only() -> None:
    assert effect_of(READ.rule) == "read_only"
    assert (effect_of(BOUND.rule), effect_of(TUNNEL.rule)) == ("unknown", "unknown")


def test_the_shipped_bundles_only_read() -> None:
    assert set(BUNDLES) == {"pypi", "npm", "debian"}
    assert {effect_of(rule) for rules in BUNDLES.values() for rule in rules} == {"read_only"}
    own = (EgressRule(host="mirror.test"),)
    assert rules_of("pypi", EgressEntry(bundles={"pypi": own})) == own


@pytest.mark.parametrize(
    "rule",
    [
        {"host": "API.test"},
        {"host": "*.test"},
        {"host": "2130706433"},
        {"host": "0x7f.1"},
        {"host": "127.1"},
        {"host": "0177.0.0.1"},
        {"host": "api.test", "scheme": "http", "credential": "house"},
        {"host": "api.test", "tunnel": True, "paths": ["/v1"]},
        {"host": "api.test", "methods": ["CONNECT"]},
        {"host": "api.test", "paths": ["/v1?x"]},
    ],
)
def test_a_rule_that_says_less_than_it_seems_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EgressRule.model_validate(rule)


def test_a_capability_is_a_bundle_or_rules_and_reads_back_as_it_was_kept() -> None:
    for wrong in ({}, {"bundle": "npm", "rules": [{"host": "a.test"}]}):
        with pytest.raises(ValidationError):
            EgressCapability.model_validate({"kind": "egress", **wrong})
    for right in ({"bundle": "npm"}, {"rules": []}, {"rules": [{"host": "a.test", "tunnel": True}]}):
        capability = EgressCapability.model_validate({"kind": "egress", **right})
        kept = capability.model_dump(mode="json", exclude_none=True)
        assert EgressCapability.model_validate(kept) == capability


def test_what_nobody_declares_is_refused_at_the_door() -> None:
    def check(entry: EgressEntry | None, **fields: object) -> None:
        check_egress([EgressCapability.model_validate({"kind": "egress", **fields})], entry)

    check(EgressEntry(), bundle="npm")
    check(None, bundle="nobody-knows")
    with pytest.raises(InvalidRequest) as refused:
        check(EgressEntry(), bundle="nobody-knows")
    assert refused.value.param == "capabilities[0].bundle"
    with pytest.raises(InvalidRequest) as refused:
        check(EgressEntry(), rules=[{"host": "a.test"}, {"host": "a.test", "credential": "house"}])
    assert refused.value.param == "capabilities[0].rules[1].credential"
