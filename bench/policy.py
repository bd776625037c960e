"""`policy`: what rules cost: a decision, the authority of a run, and what-if over recorded runs."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, select

from bench.figures import Goal, Pair, Row, alone, percentile
from bench.scale import Scale
from capabilities.catalogue import Catalogue
from capabilities.policy import Policy, shipped
from capabilities.policy_layers import Layers
from capabilities.resolve import ResolveRequest, resolve
from capabilities.signing import Signer, generate
from capabilities.snapshot import seal
from capabilities.verdict import Asker, PolicyQuestion
from cli.policy import Replaying
from protocol.block import InputDraft, TextPart
from protocol.capability import ClientToolCapability
from protocol.digest import canonical
from protocol.ids import PrincipalId, RunId, SessionId, SnapshotId, fresh
from protocol.noun import JSONObject
from protocol.run import Limits, RunRequest
from protocol.session import SessionRequest
from records import principals, runs, sessions
from records.database import Database
from records.hints import LocalHints
from records.receipt_tables import receipt_payloads, receipts
from records.tables import runs as run_table
from records.tx import Tx
from records.writer import Writer

RULES = 200
"""Rules beside the shipped ones: a third names another tool, a third a role, a third looks at arguments."""

_KINDS = (
    'forbid (principal, action, resource == Tool::"tool{n}") when {{ context.labels.contains("l{n}") }};',
    'forbid (principal in Role::"role{n}", action == Action::"invoke_unattended", resource is Tool);',
    'forbid (principal, action, resource == Tool::"bash") when {{ context has arguments && context.arguments '
    'has command && context.arguments.command like "*never{n}*" }};',
)


async def measure(scale: Scale) -> list[Row]:
    repeats = range(1 if scale.quick else scale.repeats)
    rules = many_rules()
    decisions = [decided(rules, 2_000 if scale.quick else 10_000) for _ in repeats]
    resolved = [resolving() for _ in repeats]
    replayed = [await replaying(1_000 if scale.quick else 10_000) for _ in repeats]
    return [
        _row("a decision at 200 rules, p99", "ms", [percentile(one, 99) for one in decisions], 1),
        _row("10,000 decisions at 200 rules, in all", "s", [sum(one) / 1e3 for one in decisions], 10),
        _row("resolve, hash and sign 40 grants, p95", "ms", [percentile(one, 95) for one in resolved], 25),
        _row("`rhone policy replay` of 10,000 recorded runs", "s", replayed, 60),
    ]


def many_rules() -> Policy:
    own = "\n".join(f'@id("own.{n}") ' + _KINDS[n % 3].format(n=n) for n in range(RULES))
    return Policy.load([shipped(), ("own.cedar", own)])


def decided(rules: Policy, number: int) -> list[float]:
    """Milliseconds of each decision over a command that was never seen before."""
    asker = Asker(id="prin_1", roles=("operator",), project="proj_1")
    question = PolicyQuestion(
        principal=asker, tool="bash", source="target", effect="workspace", target="workspace"
    )
    calls = [question.model_copy(update={"arguments": {"command": f"echo {n}"}}) for n in range(number)]
    return [_timed(lambda one=one: rules.decide(one)) for one in calls]


def resolving() -> list[float]:
    rules, signer, catalogue = many_rules(), Signer(generate()), Catalogue()
    asked = tuple(
        ClientToolCapability(
            kind="client_tool",
            name=f"tool_{n}",
            description="One of forty.",
            input_schema={"type": "object", "properties": {"x": {"type": "string"}}},
            effect="read_only",
        )
        for n in range(40)
    )

    def once() -> None:
        request = ResolveRequest(
            run_id=RunId(fresh("run_")), principal=Asker(id="prin_1"), capabilities=asked
        )
        document = resolve(request, catalogue, rules)
        assert len(document.grants) == 40
        seal(document, SnapshotId(fresh("capsnap_")), datetime.now(UTC), signer)

    return [_timed(once) for _ in range(60)]


async def replaying(number: int) -> float:
    """Seconds for as many runs with a resolution of nine tools and two calls each, read from SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(f"sqlite:///{folder}/rhone.db", Path(folder) / "blobs")
        try:
            await asyncio.to_thread(database.migrate)
            await _record(database, number)
            replay = Replaying(Layers(many_rules()))
            began = time.perf_counter()
            changes = await database.read(lambda c: list(replay.changes(c, {})))
            took = time.perf_counter() - began
            assert (len(replay.runs), len(changes)) == (number, 0)
            return took
        finally:
            database.close()


async def _record(database: Database, number: int) -> None:
    """One run is made as any run is; the others are copies of its row with verdicts of their own."""
    hints = LocalHints()
    await hints.start()
    writer = Writer(database, hints)
    try:
        tenant, _ = await writer.commit(principals.bootstrap)
        session, first = SessionId(fresh("sess_")), RunId(fresh("run_"))
        await writer.commit(lambda tx: sessions.create(tx, tenant, session, SessionRequest()))
        new = runs.NewRun(
            id=first,
            tenant=tenant,
            principal_id=PrincipalId("prin_admin"),
            session_id=session,
            request=RunRequest(input="x"),
            model="local/m1",
            limits=Limits(),
            blocks=(InputDraft(content=(TextPart(text="x"),)),),
        )
        await writer.commit(lambda tx: runs.create(tx, new))

        def copy(tx: Tx) -> None:
            row = tx.connection.execute(select(run_table).where(run_table.c.id == first)).mappings().one()
            ids = [first, *(RunId(fresh("run_")) for _ in range(number - 1))]
            ended = dict(row) | {"status": "completed", "stop_reason": "end_turn", "completed_at": tx.now}
            tx.connection.execute(insert(run_table), [ended | {"id": one} for one in ids[1:]])
            told = [part for one in ids for part in _verdicts(one)]
            tx.connection.execute(insert(receipts), [record for record, _ in told])
            tx.connection.execute(insert(receipt_payloads), [payload for _, payload in told])

        await writer.commit(copy)
    finally:
        await asyncio.to_thread(writer.close)


def _verdicts(run_id: RunId) -> list[tuple[dict[str, object], dict[str, object]]]:
    principal: JSONObject = {"id": "prin_1", "roles": ["operator"], "project": "proj_default"}
    question: JSONObject = {
        "principal": principal,
        "tool": "bash",
        "source": "target",
        "effect": "workspace",
        "target": "workspace",
    }
    verdict: JSONObject = {"answer": "allow", "rules": ["default.workspace"]}
    asked: list[JSONObject] = [
        {"question": {**question, "tool": f"tool_{n}"}, "verdict": verdict} for n in range(9)
    ]
    told: list[tuple[dict[str, object], dict[str, object]]] = []
    payloads: list[JSONObject] = [{"asked": [*asked]}]
    for n in range(2):
        arguments: JSONObject = {"command": f"echo {run_id} {n}"}
        payloads.append({"question": {**question, "arguments": arguments}})
    for ordinal, payload in enumerate(payloads, start=1):
        key: dict[str, object] = {"run_id": run_id, "ordinal": ordinal}
        body: JSONObject = {
            "tool_execution_id": f"tool_{ordinal}",
            "verdict": verdict,
            "answer": "allow",
            "rule": "r",
        }
        record = canonical({"body": body}).decode()
        kind = "snapshot" if ordinal == 1 else "gate"
        row = key | {"kind": kind, "hash": f"{run_id}{ordinal}", "record": record, "evidence": None}
        told.append((row, key | {"salt": "00", "value": canonical(payload).decode()}))
    return told


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1e3


def _row(claim: str, unit: str, values: list[float], most: float) -> Row:
    pairs: tuple[Pair, ...] = tuple(alone(value) for value in values)
    return Row(claim, unit, pairs, (Goal("<=", most, "ours"),))
