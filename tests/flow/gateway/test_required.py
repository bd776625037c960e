"""A project's policy whose words about who must agree cannot be kept is refused where it is put."""

import pytest

from tests.flow.gateway.house import House, error_of

RULE = '@id("team.two") {words}\nforbid (principal, action == Action::"invoke_unattended", resource is Tool);'


@pytest.mark.parametrize(
    "words", ['@approvals("none")', '@approver_role("")', '@aprovals("2")', "@approvals"]
)
async def test_words_that_say_nothing_are_refused_with_their_line(home: House, words: str) -> None:
    answer = await home.client.put("/v1/policies/team", json={"text": RULE.format(words=words)})
    assert error_of(answer) == (400, "policy.invalid", "team")
    assert answer.json()["error"]["details"] == {"file": "team", "line": 1}
    fine = RULE.format(words='@approvals("2") @not_requester("true")')
    assert (await home.client.put("/v1/policies/team", json={"text": fine})).status_code == 201
