"""Verifies a receipt of Rhone: `python rhone_verify.py FILE [--head FILE] [--key FILE]`, with no network.

One file, with the standard library and `cryptography` only, and nothing of the product: docs/receipts.md has
the format. What is wrong is told with its place. Exit code 0: all holds; 1: something does not.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, NamedTuple, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "rhone.receipt.1"
FIRST = "sha256:" + 64 * "0"
RECORD, PAYLOAD = b"rhone.receipt.record.1\0", b"rhone.receipt.payload.1\0"
NEEDED = frozenset({"format", "run_id", "complete", "evidence", "policies", "records", "payloads", "keys"})
OPTIONAL = frozenset({"snapshot", "head", "log"})
EARLIER = frozenset({"size", "root", "proof"})
ODD = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
    StopIteration,
)
MAX_SAFE = 2**53 - 1

Decide = Callable[[str, Any], Any]
"""The policy's verdict (`answer`, `rules`) on a recorded question, by the policy's text."""


class Fault(NamedTuple):
    where: str
    what: str


@dataclass
class Report:
    """What was found; `notes` are what a reader must know although nothing is wrong."""

    faults: list[Fault] = field(default_factory=list[Fault])
    notes: list[str] = field(default_factory=list[str])
    records: int = 0
    derived: int = 0

    @property
    def ok(self) -> bool:
        return not self.faults


class Keyring(NamedTuple):
    """Keys that the reader trusts, by id, and since when some are revoked."""

    keys: dict[str, str]
    revoked: dict[str, str]


# RFC 8785


def canonical(value: Any) -> bytes:
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()  # a lone surrogate has no bytes


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif isinstance(value, list):
        before = "["
        for item in cast(list[Any], value):
            parts.append(before)
            _write(item, parts)
            before = ","
        parts.append("]" if value else "[]")
    else:
        before = "{"
        for key in _sorted(cast(dict[str, Any], value)):
            parts.append(f"{before}{encode_basestring(key)}:")
            _write(value[key], parts)
            before = ","
        parts.append("}" if value else "{}")


def _sorted(members: dict[str, Any]) -> list[str]:
    """By UTF-16 code units, which for ASCII is the order of characters."""
    if all(map(str.isascii, members)):
        return sorted(members)
    return sorted(members, key=lambda name: name.encode("utf-16-be"))


def _integer(value: int) -> str:
    if abs(value) > MAX_SAFE and (abs(value) >= 10**21 or _number(float(value)) != str(value)):
        raise ValueError(f"{value} is not exactly a double")
    return str(value)


def _number(value: float) -> str:
    """As ECMAScript writes a double."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("not a number of JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def parse(data: bytes) -> Any:
    """Strict JSON that is its own canonical form."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the key {twice!r} stands twice")
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    value = json.loads(data.decode(), object_pairs_hook=members, parse_constant=constant)
    again = canonical(value)
    if again != data:
        pairs = enumerate(zip(again, data, strict=False))
        place = next((index for index, (one, other) in pairs if one != other), min(len(again), len(data)))
        raise ValueError(f"byte {place}: not in canonical form")
    return value


# hashes


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def record_hash(record: Any) -> str:
    return digest(RECORD + canonical(record))


def payload_digest(salt: str, value: Any) -> str:
    return digest(PAYLOAD + of_hex(salt) + canonical(value))


def of_hex(text: str) -> bytes:
    """Bytes have one spelling: another one of the same bytes is a change too."""
    raw = bytes.fromhex(text)
    if raw.hex() != text:
        raise ValueError(f"{text!r} is not lower-case hex")
    return raw


def of_base64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError(f"{text!r} is not base64 as it is written")
    return raw


def leaf_hash(leaf: Any) -> bytes:
    return hashlib.sha256(b"\0" + canonical(leaf)).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def included(leaf: bytes, position: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root that an inclusion proof of RFC 6962 leads to; None where it is none."""
    if not 0 <= position < size:
        return None
    left, last, found = position, size - 1, leaf
    for step in proof:
        if last == 0:
            return None
        if left & 1 or left == last:
            found = node_hash(step, found)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            found = node_hash(found, step)
        left, last = left >> 1, last >> 1
    return found if last == 0 else None


def grown(first: int, second: int, root: bytes, proof: list[bytes]) -> tuple[bytes, bytes] | None:
    """The two roots that a consistency proof leads to: of the first leaves, and of all."""
    if not 0 < first <= second:
        return None
    if first == second:
        return (root, root) if not proof else None
    path = [root, *proof] if first & (first - 1) == 0 else list(proof)
    left, last = first - 1, second - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    if not path:
        return None
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return None
        if left & 1 or left == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not left & 1 and left:
                left, last = left >> 1, last >> 1
        else:
            new = node_hash(new, step)
        left, last = left >> 1, last >> 1
    return (old, new) if last == 0 else None


# what is checked


class Verifier:
    """One receipt, looked through part by part; a part that cannot be read is a fault of its own."""

    def __init__(self, bundle: Any, keyring: Keyring | None, saved: Any, decide: Decide | None) -> None:
        self.bundle = bundle
        self.records: list[Any] = []
        self.hashes: list[str] = []
        self.report = Report()
        self._keys = keyring.keys if keyring else {}
        self._own = keyring is None
        self._revoked = keyring.revoked if keyring else {}
        self._saved = saved
        self._decide = decide

    def run(self) -> Report:
        for where, check in (
            ("", self._shape),
            ("records", self._chain),
            ("payloads", self._payloads),
            ("keys", self._key_names),
            ("snapshot", self._snapshot),
            ("evidence", self._evidence),
            ("policies", self._policies),
            ("head", self._head),
            ("log", self._log),
            ("saved head", self._saved_head),
            ("records", self._authority),
            ("records", self._gates),
            ("snapshot", self._resolution),
        ):
            try:
                check()
            except ODD as error:
                self._fault(where, f"cannot be read: {type(error).__name__}: {error}")
            if where == "" and self.report.faults:
                break
        self.report.records = len(self.records)
        return self.report

    def _fault(self, where: str, what: str) -> None:
        self.report.faults.append(Fault(where, what))

    def _note(self, text: str) -> None:
        if text not in self.report.notes:
            self.report.notes.append(text)

    def _shape(self) -> None:
        names = set(self.bundle)
        for name in sorted(NEEDED - names):
            self._fault(name, "is missing")
        for name in sorted(names - NEEDED - OPTIONAL):
            self._fault(name, "is not a part of a receipt")
        if self.bundle.get("format") != FORMAT:
            self._fault("format", f"is not {FORMAT}")

    def _chain(self) -> None:
        self.records = list(self.bundle["records"])
        self.hashes = [record_hash(record) for record in self.records]
        ends = [*(record.get("prev") for record in self.records[1:]), self._claimed_end()]
        broken = {index for index, end in enumerate(ends) if end is not None and end != self.hashes[index]}
        if self.records and self.records[0].get("prev") != FIRST:
            broken.add(0)
        for index in sorted(broken):
            if index + 1 not in broken:  # a changed `prev` breaks the link before it as well
                self._fault(f"records[{index}]", "is not what the next one, or the signed head, names")
        for index, record in enumerate(self.records):
            self._record(index, record)
        kinds = [record["kind"] for record in self.records]
        if self.bundle["complete"] is not ("end" in kinds):
            self._fault("complete", "does not fit the records: the end of the run is missing, or was added")
        if not self.bundle["complete"]:
            self._note("the run had not ended: this is a part of its receipt")

    def _claimed_end(self) -> Any:
        head = self.bundle.get("head")
        return head["statement"]["hash"] if head else None

    def _record(self, index: int, record: Any) -> None:
        where = f"records[{index}]"
        extra = set(record) - {"version", "run_id", "ordinal", "prev", "kind", "at", "body", "payload"}
        if extra or record["version"] != 1:
            self._fault(where, "is not a record of version 1")
        if record["ordinal"] != index + 1:
            self._fault(where, f"has the number {record['ordinal']}: one is missing, added or out of order")
        if record["run_id"] != self.bundle["run_id"]:
            self._fault(where, f"is of another run, {record['run_id']}")

    def _payloads(self) -> None:
        kept = self.bundle["payloads"]
        named = {str(record["ordinal"]): record for record in self.records if "payload" in record}
        for name in sorted(set(named) ^ set(kept)):
            self._fault(f"payloads.{name}", "stands for no record" if name in kept else "is missing")
        erased = 0
        for name in sorted(set(named) & set(kept), key=int):
            if kept[name] is None:
                erased += 1
            elif not _opens(kept[name], named[name]["payload"]):
                self._fault(f"payloads.{name}", "is not what its record names")
        if erased:
            self._note(f"{erased} payloads have been erased")

    def _key_names(self) -> None:
        for name, text in self.bundle["keys"].items():
            if hashlib.sha256(of_base64(text)).hexdigest()[:16] != name:
                self._fault(f"keys.{name}", "is not the key that its name says")
        if self._own:
            self._keys = self.bundle["keys"]
            self._note("the keys are the receipt's own: --key says whom you trust")

    def _signed(self, where: str, key_id: str, message: bytes, signature: str, at: str) -> None:
        if key_id not in self._keys:
            self._fault(where, f"is signed with the key {key_id}, which is not trusted")
            return
        try:
            key = Ed25519PublicKey.from_public_bytes(of_base64(self._keys[key_id]))
            key.verify(of_base64(signature), message)
        except (InvalidSignature, ValueError):
            self._fault(where, f"the signature of {key_id} does not fit")
        since = self._revoked.get(key_id)
        if since is not None and at >= since:
            self._fault(where, f"was signed at {at} with the key {key_id}, revoked since {since}")

    def _snapshot(self) -> None:
        told = [record for record in self.records if record["kind"] == "snapshot"]
        kept = self.bundle.get("snapshot")
        if kept is None:
            if told:
                self._fault("snapshot", "is missing")
            return
        body = canonical(kept["document"])
        if digest(body) != kept["digest"]:
            self._fault("snapshot.document", "is not what its digest names")
        if len(told) != 1 or any(
            told[0]["body"][there] != kept[here]
            for here, there in (("id", "snapshot_id"), *((n, n) for n in ("digest", "key_id", "signature")))
        ):
            self._fault("snapshot", "is not the one that the chain names")
            return
        if set(kept) != {"id", "digest", "document", "key_id", "signature"}:
            self._fault("snapshot", "has parts that do not belong to it")
        if kept["document"]["run_id"] != self.bundle["run_id"]:
            self._fault("snapshot.document.run_id", "is another run")
        self._signed("snapshot", kept["key_id"], body, kept["signature"], told[0]["at"])
        if kept["document"]["policy_digest"] != told[0]["body"]["policy_digest"]:
            self._fault("snapshot.document.policy_digest", "is not the policy that the chain names")

    def _evidence(self) -> None:
        told = [record["body"] for record in self.records if record["kind"] == "evidence"]
        kept = self.bundle["evidence"]
        if len(told) != len(kept):
            self._fault("evidence", f"{len(kept)} are here, and the chain names {len(told)}")
        before = self.bundle["snapshot"]["digest"] if kept else None
        for index, (body, row) in enumerate(zip(told, kept, strict=False)):
            where = f"evidence[{index}]"
            if (body["number"], body["digest"]) != (row["ordinal"], row["digest"]):
                self._fault(where, "is not the one that the chain names")
            if digest(canonical({name: row[name] for name in row if name != "digest"})) != row["digest"]:
                self._fault(where, "is not what its digest names")
            if row["previous"] != before:
                self._fault(where, "does not follow the one before it")
            before = row["digest"]

    def _policies(self) -> None:
        kept = self.bundle["policies"]
        named = {r["body"]["policy_digest"] for r in self.records if r["kind"] in ("gate", "snapshot")}
        for name in sorted(named ^ set(kept)):
            self._fault(f"policies.{name}", "is named by no record" if name in kept else "is missing")
        for name, text in kept.items():
            if digest(text.encode()) != name:
                self._fault(f"policies.{name}", "is not the text that its digest names")

    def _statement(self, where: str, signed: Any, kind: str) -> Any:
        statement = signed["statement"]
        if set(signed) != {"statement", "signature"}:
            self._fault(where, "has parts that do not belong to it")
        if statement["type"] != kind or statement["alg"] != "Ed25519":
            self._fault(where, f"is {statement['type']} signed with {statement['alg']}, not {kind}, Ed25519")
            return statement
        message = canonical(statement)
        self._signed(where, statement["key_id"], message, signed["signature"], statement["at"])
        return statement

    def _head(self) -> None:
        head = self.bundle.get("head")
        if head is None:
            if self.bundle["complete"]:
                self._fault("head", "is missing: nobody has signed the end of this run")
            else:
                self._note("the end of the chain is not signed")
            return
        told = self._statement("head", head, "rhone.receipt.run.1")
        if (told["run_id"], told["ordinal"]) != (self.bundle["run_id"], len(self.records)):
            self._fault(
                "head", f"is of record {told['ordinal']} of {told['run_id']}: records are cut or added"
            )
        elif told["hash"] != self.hashes[-1]:
            self._fault("head", "does not name the last record")

    def _log(self) -> None:
        log = self.bundle.get("log")
        if log is None:
            return
        if set(log) - {"head", "position", "proof", "earlier"} or set(log.get("earlier", ())) - EARLIER:
            self._fault("log", "has parts that do not belong to it")
        told = self._statement("log.head", log["head"], "rhone.receipt.log.1")
        head = self.bundle["head"]["statement"]
        leaf = leaf_hash({name: head[name] for name in ("run_id", "ordinal", "hash")})
        found = included(leaf, log["position"], told["size"], [_raw(step) for step in log["proof"]])
        if found is None or _named(found) != told["root"] or told["project_id"] != head["project_id"]:
            self._fault("log", "the head of this run is not in the project's log")
        earlier = log.get("earlier")
        if earlier is not None:
            proof = [_raw(step) for step in earlier["proof"]]
            roots = grown(earlier["size"], told["size"], _raw(earlier["root"]), proof)
            if roots is None or (_named(roots[0]), _named(roots[1])) != (earlier["root"], told["root"]):
                self._fault("log.earlier", "the log did not grow out of that head: it is forked")

    def _saved_head(self) -> None:
        if self._saved is None:
            return
        told = self._saved["statement"]
        self._statement("saved head", self._saved, told["type"])
        if told["type"] == "rhone.receipt.run.1":
            self._saved_run(told)
            return
        log = self.bundle.get("log")
        here = log["head"]["statement"] if log else None
        earlier = log.get("earlier") if log else None
        if here is None or here["project_id"] != told["project_id"]:
            self._fault("saved head", "is of a log in which this receipt does not stand")
        elif here["size"] == told["size"]:
            if here["root"] != told["root"]:
                self._fault("log.head", f"two heads of size {told['size']} differ: the log is forked")
        elif earlier is None or earlier["size"] != told["size"]:
            self._fault("saved head", f"no proof from size {told['size']}: export with --head")
        elif earlier["root"] != told["root"]:
            self._fault("log.earlier", f"the log had another root at size {told['size']}: it is forked")

    def _saved_run(self, told: Any) -> None:
        if told["run_id"] != self.bundle["run_id"]:
            self._fault("saved head", f"is of another run, {told['run_id']}")
        elif told["ordinal"] > len(self.records):
            self._fault(f"records[{len(self.records)}]", f"the tail is cut: there were {told['ordinal']}")
        elif told["hash"] != self.hashes[told["ordinal"] - 1]:
            self._fault(f"records[{told['ordinal'] - 1}]", "is not the one that the saved head names")

    def _authority(self) -> None:
        """Every claim stands on the gate, on a decision over the same act, or on an earlier claim."""
        allowed: set[str] = set()
        approved: dict[str, set[str]] = {}
        status: dict[str, str] = {}
        acts: dict[str, Any] = {}
        for index, record in enumerate(self.records):
            body, kind = record["body"], record["kind"]
            if kind == "gate" and body["answer"] == "allow":
                allowed.add(body["tool_execution_id"])
            elif kind == "decision" and body["decision"] == "approve":
                approved.setdefault(body["checkpoint_id"], set()).add(body["by"])
                if body["envelope_digest"] != acts[body["checkpoint_id"]]["envelope_digest"]:
                    self._fault(f"records[{index}]", "approves another act than the checkpoint asks about")
            elif kind == "checkpoint":
                status[body["checkpoint_id"]] = body["status"]
                if body["status"] == "open" and "checkpoint_kind" in body:
                    acts[body["checkpoint_id"]] = body
            elif kind == "claim" and body.get("approval"):
                self._approved(index, body, acts.get(body["approval"]), status, approved)
                allowed.add(body["tool_execution_id"])
            elif kind == "claim" and body["tool_execution_id"] not in allowed:
                self._fault(f"records[{index}]", "claims an effect that nothing allowed")

    def _approved(
        self, index: int, body: Any, asked: Any, status: dict[str, str], approved: dict[str, set[str]]
    ) -> None:
        where, name = f"records[{index}]", body["approval"]
        if asked is None or asked["tool_execution_id"] != body["tool_execution_id"]:
            self._fault(where, f"claims by an approval of another call, {name}")
        elif asked["envelope_digest"] != body["envelope_digest"]:
            self._fault(where, "claims another act than the one that was approved")
        elif status[name] != "redeemed" or len(approved.get(name, ())) < asked["required"]["count"]:
            self._fault(where, f"claims by {name}, which is {status[name]}, without all its approvals")

    def _verdict(self, where: str, policy: str, said: Any, question: Any) -> Any:
        """What the policy says again, where its engine is here; else what is recorded."""
        if self._decide is None:
            self._note("the policy was not asked again: its engine is not here")
            return said
        again = self._decide(self.bundle["policies"][policy], question)
        self.report.derived += 1
        if again != said:
            self._fault(where, f"the policy answers {again['answer']} by {again['rules']}, not what it says")
        return again

    def _gates(self) -> None:
        document = self.bundle["snapshot"]["document"] if self.bundle.get("snapshot") else {"grants": []}
        grants = {grant["name"]: grant for grant in document["grants"]}
        for index, record in enumerate(self.records):
            if record["kind"] != "gate":
                continue
            where, body = f"records[{index}]", record["body"]
            if body["policy_digest"] != document["policy_digest"]:
                self._fault(where, "was decided by another policy than the snapshot's")
            payload = self.bundle["payloads"].get(str(record["ordinal"]))
            verdict = body.get("verdict")
            if verdict and payload is not None:
                verdict = self._verdict(where, body["policy_digest"], verdict, payload["value"]["question"])
            self._gate(where, body, verdict, grants.get(body["tool"]), record["at"])

    def _gate(self, where: str, body: Any, verdict: Any, grant: Any, at: str) -> None:
        """The gate's answer from the grant and the verdict; a stage after them may only be stricter, but for
        a standing permission, which answers a question beforehand and is told."""
        order = {"allow": 0, "ask": 1, "deny": 2}
        expected = _expected(body.get("definition_digest"), verdict, grant, at)
        beforehand = body["rule"].startswith("grant_") and (body["answer"], expected) == ("allow", "ask")
        if order[body["answer"]] < order[expected] and not beforehand:
            self._fault(where, f"answers {body['answer']}, and grant and policy give {expected}")
        elif body["answer"] != expected:
            self._note(f"{where}: {body['rule']} made {body['answer']} of {expected}")

    def _resolution(self) -> None:
        """Every grant and downgrade from the verdicts of its questions; denials that the policy caused."""
        if self.bundle.get("snapshot") is None:
            return
        document = self.bundle["snapshot"]["document"]
        told = next(record for record in self.records if record["kind"] == "snapshot")
        payload = self.bundle["payloads"].get(str(told["ordinal"]))
        if payload is None:
            self._note("what the snapshot was resolved from has been erased")
            return
        asked: dict[str, Any] = {}
        for one in payload["value"]["asked"]:
            name = one["question"]["tool"]
            verdict = self._verdict("snapshot", document["policy_digest"], one["verdict"], one["question"])
            asked[name] = (verdict, one["question"].get("approval"))
        downgraded = {down["name"] for down in document["downgrades"]}
        for index, grant in enumerate(document["grants"]):
            where = f"snapshot.document.grants[{index}]"
            verdict, wanted = asked.get(grant["name"], (None, None))
            if verdict is None or verdict["answer"] == "deny":
                self._fault(where, f"{grant['name']} was granted, and no verdict permits it")
            elif grant["approval"] == "auto" and "ask" in (verdict["answer"], wanted):
                self._fault(where, f"{grant['name']} was granted unattended, and has to ask")
            elif (wanted == "auto" and grant["approval"] == "ask") != (grant["name"] in downgraded):
                self._fault(where, f"the downgrade of {grant['name']} is missing, or is none")
        for index, denial in enumerate(document["denials"]):
            verdict, _ = asked.get(denial["name"], (None, None))
            where = f"snapshot.document.denials[{index}]"
            granted = any(grant["name"] == denial["name"] for grant in document["grants"])
            if verdict is None:
                self._note(f"{where}: {denial['rule']} is no rule of the policy")
            elif verdict["answer"] != "deny" and not granted:
                self._note(f"{where}: {denial['rule']} denies what the policy permits")


def _expected(definition: str | None, verdict: Any, grant: Any, at: str) -> str:
    if grant is None or verdict is None or definition is None:
        return "deny"
    if verdict["answer"] == "deny" or (grant.get("expires_at") or "~") <= at:
        return "deny"
    drifted = definition != grant["definition_digest"]
    return "ask" if drifted or "ask" in (verdict["answer"], grant["approval"]) else "allow"


def _opens(payload: Any, name: str) -> bool:
    try:
        return set(payload) == {"salt", "value"} and payload_digest(**payload) == name
    except ODD:
        return False


def _raw(text: str) -> bytes:
    raw = of_hex(text.removeprefix("sha256:"))
    if _named(raw) != text or len(raw) != 32:
        raise ValueError(f"{text} is not a SHA-256 digest")
    return raw


def _named(raw: bytes) -> str:
    return "sha256:" + raw.hex()


def verify(
    data: bytes, *, keyring: Keyring | None = None, saved: Any = None, decide: Decide | None = None
) -> Report:
    """What is wrong with a receipt; `saved` is a signed head that the reader kept."""
    try:
        bundle = parse(data)
        if not isinstance(bundle, dict):
            raise ValueError("is not an object")
    except ODD as error:
        return Report([Fault("file", str(error))])
    return Verifier(bundle, keyring, saved, decide).run()


def read_keyring(data: bytes) -> Keyring:
    """`{"keys": {id: base64}, "revoked": {id: time}}`."""
    value = json.loads(data)
    return Keyring(dict(value["keys"]), dict(value.get("revoked", {})))


def told(report: Report) -> str:
    lines = [f"BROKEN  {fault.where or 'receipt'}: {fault.what}" for fault in report.faults]
    lines += [f"note    {note}" for note in report.notes]
    sum_up = f"{report.records} records, {report.derived} verdicts derived again"
    return "\n".join([*lines, f"{'holds' if report.ok else 'BROKEN'}: {sum_up}"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a receipt, offline.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--head", type=Path, help="a signed head that was saved before")
    parser.add_argument("--key", type=Path, help="the keys that are trusted, and which are revoked")
    asked = parser.parse_args()
    keyring = read_keyring(asked.key.read_bytes()) if asked.key else None
    saved = json.loads(asked.head.read_bytes()) if asked.head else None
    report = verify(asked.file.read_bytes(), keyring=keyring, saved=saved)
    print(told(report))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
