"""Who may not agree to an act, and what a decision leaves behind of whoever did."""

from datetime import UTC, datetime, timedelta
from typing import Any

from capabilities.egress import placeholder
from protocol.checkpoint import Checkpoint, Required
from protocol.digest import digest_bytes
from protocol.ids import PrincipalId, RunId
from protocol.noun import JSON
from protocol.principal import Scope, Tenant
from records import checkpoints, keys, principals, projects, runs
from tests.flow.gateway.house import DIGEST, House

APPROVE: dict[str, JSON] = {"decision": "approve", "envelope_digest": DIGEST}


class Office:
    """A run of somebody with the role that is asked for, and an act of it that others have to agree to."""

    def __init__(self, home: House) -> None:
        self.home = home

    async def open(self) -> Checkpoint:
        self.token = await self.home.key(roles=("release",), name="requester")
        async with self.home.holding(self.token) as requester:
            made = await requester.post("/v1/runs", json={"input": "do it", "model": "smart"})
        run_id = RunId(made.json()["id"])
        await self.home.commit(lambda tx: runs.claim(tx, run_id), run_id)
        self.checkpoint = await self.home.ask(run_id, required=Required(role="release", not_requester=True))
        return self.checkpoint

    async def another_key(self, *scopes: Scope) -> str:
        """A second credential of the requester, as an agent of theirs holds it."""
        minted = keys.mint(self.home.gateway.pepper)
        new = principals.NewKey(
            id=minted.key_id,
            principal_id=PrincipalId(self.checkpoint.requested_by),
            scopes=scopes,
            secret_hash=minted.secret_hash,
            actor_id="agent",
        )
        assert await self.home.commit(lambda tx: principals.create_key(tx, principals.DEFAULT, new))
        return minted.token

    async def tried(self, token: str, body: Any = None, verb: str = "decide") -> tuple[int, str]:
        async with self.home.holding(token) as client:
            path = f"/v1/checkpoints/{self.checkpoint.id}:{verb}"
            answer = await client.post(path, json=APPROVE if body is None else body)
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    async def tried_in_a_list(self, token: str) -> tuple[int, str]:
        items = [{"id": self.checkpoint.id, "envelope_digest": DIGEST}]
        async with self.home.holding(token) as client:
            answer = await client.post("/v1/checkpoints:decide", json={"decision": "approve", "items": items})
        return answer.status_code, answer.json()["error"]["code"]


async def test_thirteen_who_may_not_agree_are_refused(home: House) -> None:
    """APR-06; what is another project's is not there, and what a box holds is no key at all."""
    office = Office(home)
    asked = await office.open()
    own = (403, "checkpoint.is_requester")
    scope, role, foreign = (
        (403, "auth.scope_missing"),
        (403, "checkpoint.role_missing"),
        (404, "checkpoint.not_found"),
    )
    project = await home.commit(lambda tx: projects.create(tx, principals.DEFAULT.org_id, "other"))
    tenant = Tenant(org_id=principals.DEFAULT.org_id, project_id=project.id)
    stranger = await home.key(tenant=tenant, roles=("admin", "release"))
    former = (await home.client.post("/v1/principals", json={"name": "ex", "roles": ["release"]})).json()
    key = {"principal_id": former["id"], "scopes": ["decide"]}
    ex = (await home.client.post("/v1/keys", json=key)).json()["secret"]
    await home.client.patch(f"/v1/principals/{former['id']}", json={"roles": []})
    tries = [
        (await office.tried(office.token), own),
        (await office.tried(await office.another_key("run", "decide")), own),
        (await office.tried(office.token, {**APPROVE, "arguments": {"branch": "x"}}), own),
        (await office.tried(office.token, {"decision": "defer", "expires_in_s": 60}), own),
        (await office.tried_in_a_list(office.token), own),
        (await office.tried(await home.key("run", roles=("release",))), scope),
        (await office.tried(await home.key("read", "feedback", roles=("release",))), scope),
        (await office.tried(await home.key("decide", roles=("admin", "releases"))), role),
        (await office.tried(ex), role),
        (await office.tried(stranger), foreign),
        (await office.tried_in_a_list(stranger), foreign),
        (await office.tried(placeholder(asked.run_id, "house")), (401, "auth.invalid_key")),
    ]
    assert [got for got, _ in tries] == [expected for _, expected in tries]
    found = await home.gateway.database.read(lambda c: checkpoints.load(c, asked.id))
    assert found == asked
    approver = await home.key("decide", roles=("release",))
    assert (await office.tried(approver))[0] == 200
    assert await office.tried(office.token, {}, "revoke") == own
    assert len(tries) + 1 == 13


async def test_a_decision_says_who_how_when_and_over_what(home: House) -> None:
    """APR-12."""
    office = Office(home)
    asked = await office.open()
    before = datetime.now(UTC) - timedelta(seconds=1)
    token = await home.key("decide", "read", roles=("release",), name="Ann \u202e")
    assert (await office.tried(token, {**APPROVE, "reason": "seen"}))[0] == 200
    shown = (await home.client.get(f"/v1/checkpoints/{asked.id}")).json()
    [made] = shown["decisions"]
    assert made["by"].startswith("prin_")
    assert made["by"] != asked.requested_by
    assert before <= datetime.fromisoformat(made["at"]) <= datetime.now(UTC) + timedelta(seconds=1)
    assert made["at"] == shown["resolved_at"]
    assert {name: made[name] for name in made if name not in ("by", "at")} == {
        "decision": "approve",
        "by_name": "Ann \u202e",
        "auth_method": "api_key",
        "envelope_digest": DIGEST,
        "rendered_digest": digest_bytes(shown["rendered"].encode()),
        "reason": "seen",
        "arguments": None,
        "answer": None,
    }


async def test_two_keys_of_one_principal_are_one_voice(home: House) -> None:
    run_id = await home.start()
    asked = await home.ask(run_id, required=Required(count=2))
    made = (await home.client.post("/v1/principals", json={"name": "ann"})).json()
    for _ in range(3):
        key = {"principal_id": made["id"], "scopes": ["decide"]}
        token = (await home.client.post("/v1/keys", json=key)).json()["secret"]
        async with home.holding(token) as ann:
            answer = await ann.post(f"/v1/checkpoints/{asked.id}:decide", json=APPROVE)
        assert (answer.json()["status"], answer.json()["approvals"]) == ("open", 1)
