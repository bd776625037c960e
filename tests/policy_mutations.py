"""Policies with one rule changed, and receipts that claim such a policy for verdicts of the true one."""

import random
import re
from typing import Any

from capabilities.policy import Policy, shipped
from capabilities.verdict import PolicyQuestion, Verdict
from cli.receipts import decide
from protocol.errors import Fault
from tests.receipts import OWN_RULES, POLICY, Bundle, Chain

_RULE = re.compile(r"@id\(.*?\).*?;", re.DOTALL)
_TURNED = {"permit": "forbid", "forbid": "permit"}
_WORDS = ("bash", "glob", "grep", "read_only", "workspace", "risky", "forbidden", "target", "native")


def mutated(chosen: random.Random) -> Policy:
    """One rule dropped, turned into its opposite, or with another word in it."""
    while True:
        texts = [shipped(), ("own.cedar", OWN_RULES)]
        which = chosen.randrange(2)
        name, text = texts[which]
        rule = chosen.choice(_RULE.findall(text))
        how = chosen.choice(("drop", "turn", "word"))
        if how == "drop":
            changed = ""
        elif how == "turn":
            changed = re.sub(r"\b(permit|forbid) \(", lambda found: f"{_TURNED[found[1]]} (", rule, count=1)
        else:
            changed = rule.replace(f'"{chosen.choice(_WORDS)}"', f'"{chosen.choice(_WORDS)}"')
        texts[which] = (name, text.replace(rule, changed))
        try:
            return Policy.load(texts)
        except Fault:
            continue


class _Pretended(Policy):
    """Another policy's text in front of the true one's verdicts."""

    def __init__(self, claimed: Policy) -> None:
        self.digest = claimed.digest
        self.engine = claimed.engine
        self._document = claimed.document()

    def document(self) -> bytes:
        return self._document

    def decide(self, question: PolicyQuestion) -> Verdict:
        return POLICY.decide(question).model_copy(update={"policy_digest": self.digest})


def forged(policy: Policy) -> tuple[Bundle, set[str]]:
    """A receipt, whole and signed, and the places where the policy that it names says something else."""
    chain = Chain(policy=_Pretended(policy))
    chain.call(1)
    chain.call(2, "forbidden")
    chain.approved(3)
    chain.end()
    told = chain.bundle()
    text = policy.document().decode()
    places: set[str] = set()
    for index, record in enumerate(told["records"]):
        payload: Any = told["payloads"].get(str(record["ordinal"]))
        if record["kind"] == "snapshot":
            asked = payload["value"]["asked"]
            if any(decide(text, one["question"]) != one["verdict"] for one in asked):
                places.add("snapshot")
        elif record["kind"] == "gate" and record["body"]["verdict"] != decide(
            text, payload["value"]["question"]
        ):
            places.add(f"records[{index}]")
    return told, places
