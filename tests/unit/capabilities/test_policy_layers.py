"""A project's policy tightens that of the installation, and cannot do anything else."""

import pytest

from capabilities.policy import Policy, shipped
from capabilities.policy_layers import Layers, check_layer
from capabilities.verdict import Asker, PolicyQuestion
from protocol.errors import Forbidden, InvalidRequest

BASH = PolicyQuestion(
    principal=Asker(id="prin_1"), tool="bash", source="target", effect="workspace", target="workspace"
)
ASK = """@id("strict.ask")
forbid (principal, action == Action::"invoke_unattended", resource == Tool::"bash");"""


def test_the_rules_of_a_project_tighten_those_of_the_installation() -> None:
    layers = Layers(Policy.load([shipped()]))
    check_layer("strict", ASK)
    over = layers.over([("strict", ASK)])
    assert layers.installation.decide(BASH).answer == "allow"
    assert (over.decide(BASH).answer, over.decide(BASH).rule) == ("ask", "strict.ask")
    assert over.digest != layers.installation.digest
    assert layers.over([("strict", ASK)]) is over
    assert layers.over([]) is layers.installation


def test_a_rule_that_permits_is_forbidden_with_its_line() -> None:
    with pytest.raises(Forbidden) as refused:
        check_layer("strict", ASK + '\n@id("strict.all")\npermit (principal, action, resource);')
    assert refused.value.code == "policy.loosens"
    assert refused.value.details == {"file": "strict", "line": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('@id("other.ask") forbid (principal, action, resource);', "begins with 'strict.'"),
        ('@id("strict.a") forbid (principal, action, resource is Tol);', "`Tol`"),
        (ASK + ASK, "stands already"),
        ("nonsense", "unexpected"),
    ],
)
def test_a_text_that_does_not_fit_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_layer("strict", text)
    assert refused.value.code == "policy.invalid"
    assert words in refused.value.message
