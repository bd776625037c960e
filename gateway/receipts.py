"""Receipts as they are handed out: one run's bundle, the heads of the project's log, the keys behind them."""

import base64
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from capabilities.receipts import consistency, inclusion, root
from capabilities.signing import former_keys
from gateway.access import Admin, Reader
from gateway.answers import JSON_TYPE
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from gateway.names import run_named
from gateway.room import become_stream
from protocol.config import FormerKey
from protocol.digest import canonical
from protocol.errors import Conflict, NotFound, Unavailable
from protocol.ids import ProjectId, RunId
from protocol.noun import Noun, rfc3339
from protocol.receipt import leaf_hash
from protocol.run import Run
from records import receipt_heads, snapshots
from records.tx import Tx

router = APIRouter(tags=["receipts"])

Part = dict[str, Any]
"""A part of a receipt, as JSON."""


LOOK_AGAIN_S = 1.0


class Unsigned(Unavailable):
    """The end of a run is not signed yet."""


class ReceiptQuery(Noun):
    """`partial` takes what is there, signed or not; `wait_s` is for how long the end of a run is waited for
    to be signed; `since` asks for the proof that the log grew out of its head of that size."""

    partial: bool = False
    wait_s: Annotated[float, Field(ge=0, le=20)] = 0
    since: Annotated[int, Field(ge=1)] | None = None


class HeadsQuery(Noun):
    """Newest first; `cursor` is the size of the last head that was seen."""

    cursor: Annotated[int, Field(ge=1)] = 2**53 - 1
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ErasureBody(Noun):
    """The number of the record whose payload goes."""

    ordinal: Annotated[int, Field(ge=1)]


@router.get("/v1/runs/{run_id}/receipt")
async def get_receipt(
    request: Request, here: Here, caller: Reader, run_id: str, asked: Annotated[ReceiptQuery, Query()]
) -> Response:
    """One bundle in canonical JSON, to be checked without us: docs/receipts.md."""

    def query(connection: Connection) -> Part:
        run = run_named(connection, caller.tenant, run_id).run
        return bundle_of(connection, run, ProjectId(caller.tenant.project_id), asked)

    if asked.wait_s:
        become_stream(request)
    until = time.monotonic() + asked.wait_s
    with here.hints.subscribe(("sealed", RunId(run_id))) as sealed:
        while True:
            try:
                return Response(canonical(await here.database.read(query)), media_type=JSON_TYPE)
            except Unsigned:
                left = until - time.monotonic()
                if left <= 0:
                    raise
            await sealed.wait(sealed.number, min(left, LOOK_AGAIN_S))


@router.post("/v1/runs/{run_id}/receipt:erase", openapi_extra=documented("ErasureBody"))
async def erase_payload(request: Request, here: Here, caller: Admin, run_id: str) -> Response:
    """The payload of one record goes for good; the chain stays whole."""
    body = await read_body(request)
    ordinal = body.parse(ErasureBody).ordinal

    def unit(tx: Tx) -> Made[None]:
        run = run_named(tx.connection, caller.tenant, run_id).run
        if not receipt_heads.erase(tx, run.id, ordinal):
            message = f"record {ordinal} of {run.id} has no payload"
            raise NotFound("run.receipt_payload_not_found", message, param="ordinal")
        return Made(run.id, None)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    told = canonical({"run_id": done.resource_id, "ordinal": ordinal})
    return Response(told, done.status, done.headers, media_type=JSON_TYPE)


@router.get("/v1/receipts/heads")
async def list_heads(here: Here, caller: Reader, asked: Annotated[HeadsQuery, Query()]) -> Response:
    """The signed heads of the project's log: keep one, and no later receipt can tell another story."""
    project = ProjectId(caller.tenant.project_id)
    found = await here.database.read(
        lambda c: receipt_heads.log_head_list(c, project, asked.cursor, asked.limit + 1)
    )
    page = [head.shown() for head in found[: asked.limit]]
    last: Any = page[-1]["statement"] if len(found) > asked.limit else None
    cursor = str(last["size"]) if last else None
    return Response(canonical({"items": page, "next_cursor": cursor}), media_type=JSON_TYPE)


@router.get("/v1/receipts/keys")
async def get_keys(here: Here, caller: Reader) -> Response:
    """All keys that ever signed here, and since when some are revoked: what `--key` takes."""
    kept = await here.database.read(receipt_heads.keys)
    told = keyring_of(kept, here.config.signing.former)
    return Response(canonical(told), media_type=JSON_TYPE)


def keyring_of(kept: dict[str, str], former: Sequence[FormerKey]) -> Part:
    """The keys that signed here with those that the configuration names, and which are revoked."""
    named = former_keys(former)
    keys = kept | {name: base64.b64encode(key.public_key).decode() for name, key in named.items()}
    times = {name: key.revoked_at for name, key in named.items()}
    return {"keys": keys, "revoked": {name: rfc3339(at) for name, at in times.items() if at is not None}}


def bundle_of(connection: Connection, run: Run, project_id: ProjectId, asked: ReceiptQuery) -> Part:
    """Everything that proves a run; refused while it goes on, or until its end is signed."""
    told = receipt_heads.records(connection, run.id)
    complete = any(record["kind"] == "end" for record in told)
    if not complete and not asked.partial:
        raise Conflict("run.not_ended", f"{run.id} goes on: ask for its receipt with partial=true")
    signed = receipt_heads.run_head(connection, run.id)
    head: Any = signed.shown() if signed else None
    if head is not None and head["statement"]["ordinal"] != len(told):
        head = None
    if complete and head is None and not asked.partial:
        raise Unsigned("run.receipt_unsigned", f"the end of {run.id} is being signed", retry_after=1)
    bundle: Part = {
        "format": "rhone.receipt.1",
        "run_id": run.id,
        "complete": complete,
        "records": told,
        "payloads": receipt_heads.payloads(connection, run.id),
        "policies": _policies(connection, told),
        **_authority(connection, run),
    }
    if head is not None:
        bundle["head"] = head
        bundle |= _log(connection, project_id, head["statement"], asked.since)
    bundle["keys"] = _keys(connection, bundle)
    return bundle


def _policies(connection: Connection, told: list[dict[str, Any]]) -> Part:
    named = {r["body"]["policy_digest"] for r in told if r["kind"] in ("gate", "snapshot")}
    return {name: snapshots.policy_text(connection, name) or "" for name in sorted(named)}


def _authority(connection: Connection, run: Run) -> Part:
    snapshot_id = run.capability_snapshot_id
    snapshot = snapshots.load(connection, snapshot_id) if snapshot_id else None
    if snapshot is None:
        return {"evidence": []}
    rows = snapshots.list_evidence(connection, snapshot.id)
    shown = snapshot.model_dump(mode="json", exclude={"created_at"})
    return {"snapshot": shown, "evidence": [row.model_dump(mode="json") for row in rows]}


def _log(connection: Connection, project_id: ProjectId, head: Any, since: int | None) -> Part:
    """Where the run stands in the newest signed head of the log, and how that grew out of an earlier one."""
    signed = receipt_heads.log_head(connection, project_id)
    if signed is None:
        return {}
    newest: Any = signed.shown()
    leaves = receipt_heads.log(connection, project_id)[: newest["statement"]["size"]]
    place = next((n for n, one in enumerate(leaves) if one[:2] == (head["run_id"], head["ordinal"])), None)
    if place is None:
        return {}
    hashes = [leaf_hash(*leaf) for leaf in leaves]
    log: Part = {"head": newest, "position": place, "proof": _named(inclusion(hashes, place))}
    if since is not None and since <= len(hashes):
        proof = _named(consistency(hashes, since))
        log["earlier"] = {"size": since, "root": _named([root(hashes[:since])])[0], "proof": proof}
    return {"log": log}


def _named(hashes: list[bytes]) -> list[str]:
    return ["sha256:" + one.hex() for one in hashes]


def _keys(connection: Connection, bundle: Any) -> Part:
    """The public keys that this receipt is signed with."""
    used = {bundle["snapshot"]["key_id"]} if "snapshot" in bundle else set[str]()
    if "head" in bundle:
        used.add(bundle["head"]["statement"]["key_id"])
    if "log" in bundle:
        used.add(bundle["log"]["head"]["statement"]["key_id"])
    return {name: text for name, text in receipt_heads.keys(connection).items() if name in used}
