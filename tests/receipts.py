"""Receipts for tests, made of the product's own functions: small ones, long ones, and forged ones."""

import base64
import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from capabilities.catalogue import Catalogue
from capabilities.gate import ToolCallFacts, gate, question_for
from capabilities.policy import Policy, shipped
from capabilities.receipts import Noted, consistency, inclusion, root, ruled
from capabilities.resolve import ResolveRequest, resolve
from capabilities.signing import Signer, generate
from capabilities.snapshot import seal
from capabilities.verdict import Asker
from cli.rhone_verify import parse, record_hash
from protocol.capability import ToolCapability
from protocol.digest import canonical, digest
from protocol.ids import RunId, SnapshotId
from protocol.noun import JSON, JSONObject
from protocol.receipt import FIRST, LogHead, RecordKind, RunHead, leaf_hash, payload_digest, seal_record
from protocol.run import TargetChoice

RUN = RunId("run_01m7zgbvtrjvv3r86pb47fdf31")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TIME = "2026-01-02T03:04:05.000Z"
SIGNER = Signer(generate())
OWN_RULES = """\
@id("test.no-forbidden-commands") forbid (principal, action, resource is Tool)
when { context has arguments && context.arguments has command && context.arguments.command == "forbidden" };
@id("test.risky-commands-ask") forbid (principal, action == Action::"invoke_unattended", resource is Tool)
when { context has arguments && context.arguments has command && context.arguments.command == "risky" };
@id("test.no-globbing") forbid (principal, action, resource == Tool::"glob");
@id("test.reading-asks") forbid (principal, action == Action::"invoke_unattended", resource == Tool::"grep");
"""
POLICY = Policy.load([shipped(), ("own.cedar", OWN_RULES)])
BRIEF = Policy.load([("own.cedar", '@id("all") permit (principal, action, resource);\n' + OWN_RULES)])
TOOLS = ("bash", "read_file", "glob", "grep")
Bundle = dict[str, Any]


class Chain:
    """A receipt that is being written."""

    def __init__(self, run_id: RunId = RUN, policy: Policy = POLICY, tools: Sequence[str] = TOOLS) -> None:
        self.run_id = run_id
        self.records: list[JSON] = []
        self.payloads: dict[str, JSON] = {}
        self._end = FIRST
        noted = Noted(policy)
        asked = tuple(ToolCapability(kind="tool", name=name, approval="auto") for name in tools)
        request = ResolveRequest(
            run_id=run_id,
            principal=Asker(id="prin_ann", roles=("operator",)),
            capabilities=asked,
            target=TargetChoice(kind="workspace", name="dev"),
        )
        document = resolve(request, Catalogue(()), noted)
        self.policy = policy
        self.snapshot = seal(document, SnapshotId("capsnap_01m7zgbvtrjvv3r86pb47fdf31"), AT, SIGNER)
        told = self.snapshot.model_dump(mode="json", include={"digest", "key_id", "signature"})
        told |= {"snapshot_id": self.snapshot.id, "policy_digest": policy.digest}
        self.add("snapshot", told, {"asked": noted.asked})
        self.evidence: JSONObject = {
            "snapshot_id": self.snapshot.id,
            "snapshot_digest": self.snapshot.digest,
            "ordinal": 1,
            "kind": "workspace",
            "body": {"runtime": "runc", "memory_mb": 512, "share": 0.5},
            "previous": self.snapshot.digest,
            "at": TIME,
        }
        self.evidence["digest"] = digest(self.evidence)
        said: JSONObject = {"number": 1, "kind": "workspace", "digest": self.evidence["digest"]}
        self.add("evidence", {"snapshot_id": self.snapshot.id, **said})

    def add(self, kind: RecordKind, body: JSONObject, payload: JSON = None) -> None:
        ordinal = len(self.records) + 1
        salted = None
        if payload is not None:
            salt = f"{ordinal:032x}"
            self.payloads[str(ordinal)] = {"salt": salt, "value": payload}
            salted = payload_digest(salt, canonical(payload))
        text, self._end = seal_record(self.run_id, ordinal, self._end, kind, TIME, body, salted)
        self.records.append(_parsed(text))

    def call(self, number: int, command: str = "make test", tool: str = "bash") -> str:
        """A call that the gate decides, and where it allows, an effect with its outcome."""
        name = f"tool_{number}"
        arguments: JSONObject = {"command": command}
        grant = self.snapshot.grant_for(tool)
        assert grant is not None
        facts = ToolCallFacts(
            tool=tool, definition_digest=grant.definition_digest, arguments=arguments, now=AT
        )
        question = question_for(self.snapshot, grant, arguments, roles=("operator",))
        verdict = self.policy.decide(question)
        answer = ruled(gate(self.snapshot, facts, verdict), facts, self.policy.digest, verdict, question)
        assert answer.ruling is not None
        body = answer.ruling.model_dump(mode="json", exclude={"question", "reason"}, exclude_none=True)
        payload = answer.ruling.model_dump(mode="json", include={"question", "reason"}, exclude_none=True)
        self.add("gate", {"tool_execution_id": name, **body}, payload)
        if answer.ruling.answer == "allow":
            self.effect(name)
        return name

    def effect(self, name: str, approval: str | None = None, envelope: str = "") -> None:
        body: JSONObject = {
            "tool_execution_id": name,
            "epoch": 1,
            "envelope_digest": envelope or digest(name),
        }
        more: JSONObject = {"approval": approval, "effect": "workspace", "evidence": self.evidence["digest"]}
        self.add("claim", body | more)
        self.add("outcome", body | {"state": "succeeded"}, {"result": {"exit_code": 0}})

    def approved(self, number: int) -> None:
        """A call that asks, the approval, and its effect."""
        name = self.call(number, "risky")
        act = digest({"act": number})
        said: JSONObject = {"checkpoint_id": f"ckpt_{number}"}
        asked: JSONObject = {"tool_execution_id": name, "envelope_digest": act, "required": {"count": 1}}
        self.add("checkpoint", said | asked | {"status": "open", "checkpoint_kind": "approval"})
        decision: JSONObject = {"decision": "approve", "by": "prin_bob", "envelope_digest": act}
        proof: JSONObject = {"auth_method": "api_key"}
        self.add("decision", said | decision | proof, {"reason": "fine", "by_name": "Bob"})
        for status in ("approved", "redeemed"):
            self.add("checkpoint", said | {"status": status})
        self.effect(name, f"ckpt_{number}", act)

    def end(self) -> None:
        self.add("end", {"status": "completed", "stop_reason": "end_turn"})

    def bundle(self, *, others: int = 6, position: int = 2, since: int = 4) -> Bundle:
        """With its head, and the log of a project in which other runs have ended too."""
        head = run_head(self)
        leaves = [leaf_hash(f"run_{n}", 1, digest(n)) for n in range(others)]
        leaves.insert(position, leaf_hash(self.run_id, len(self.records), self._end))
        return {
            "format": "rhone.receipt.1",
            "run_id": self.run_id,
            "complete": True,
            "snapshot": self.snapshot.model_dump(mode="json", exclude={"created_at"}),
            "evidence": [copy.deepcopy(self.evidence)],
            "policies": {self.policy.digest: self.policy.document().decode()},
            "records": copy.deepcopy(self.records),
            "payloads": copy.deepcopy(self.payloads),
            "keys": {SIGNER.key_id: base64.b64encode(SIGNER.public_key).decode()},
            "head": head,
            "log": log_of(leaves, position, since),
        }


def log_of(leaves: Sequence[bytes], position: int, since: int, signer: Signer = SIGNER) -> Bundle:
    return {
        "head": log_head(leaves, signer),
        "position": position,
        "proof": named(inclusion(leaves, position)),
        "earlier": {
            "size": since,
            "root": named([root(leaves[:since])])[0],
            "proof": named(consistency(leaves, since)),
        },
    }


def run_head(chain: Chain, signer: Signer = SIGNER, at: str = TIME) -> Bundle:
    head = RunHead(
        key_id=signer.key_id,
        project_id="proj_1",  # pyright: ignore[reportArgumentType]
        run_id=chain.run_id,
        ordinal=len(chain.records),
        hash=record_hash(chain.records[-1]),
        at=at,
    )
    return {"statement": head.model_dump(mode="json"), "signature": signer.sign(canonical(head))}


def log_head(leaves: Sequence[bytes], signer: Signer = SIGNER) -> Bundle:
    head = LogHead(
        key_id=signer.key_id,
        project_id="proj_1",  # pyright: ignore[reportArgumentType]
        size=len(leaves),
        root=named([root(leaves)])[0],
        at=TIME,
    )
    return {"statement": head.model_dump(mode="json"), "signature": signer.sign(canonical(head))}


def small() -> Chain:
    """A run with an allowed, a denied and an approved call."""
    chain = Chain()
    chain.call(1)
    chain.call(2, "forbidden")
    chain.approved(3)
    chain.end()
    return chain


def named(hashes: Sequence[bytes]) -> list[str]:
    return ["sha256:" + one.hex() for one in hashes]


def _parsed(text: str) -> JSON:
    return parse(text.encode())
