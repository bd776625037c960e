"""Who may ask: keys, scopes, modes, addresses, origins; and nothing of one project reaches another."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from protocol.ids import RunId
from protocol.principal import Scope, Tenant
from records import principals, projects
from tests.flow.gateway.house import DIGEST, House, error_of, house

pytestmark = pytest.mark.slow

RUN = {"input": "x", "model": "smart"}
SCOPES: list[tuple[str, str, Any, Scope]] = [
    ("POST", "/v1/runs", RUN, "run"),
    ("POST", "/v1/runs:stream", RUN, "run"),
    ("POST", "/v1/runs:cancel", {"filter": {}}, "run"),
    ("GET", "/v1/runs", None, "read"),
    ("POST", "/v1/sessions", {}, "run"),
    ("GET", "/v1/sessions", None, "read"),
    ("GET", "/v1/checkpoints", None, "read"),
    ("POST", "/v1/checkpoints/{checkpoint}:decide", {"decision": "deny"}, "decide"),
    ("POST", "/v1/checkpoints/{checkpoint}:revoke", {}, "decide"),
    ("GET", "/v1/models", None, "read"),
    ("GET", "/v1/keys", None, "admin"),
    ("POST", "/v1/keys", {}, "admin"),
    ("GET", "/v1/principals", None, "admin"),
    ("POST", "/v1/projects", {}, "admin"),
]


async def test_without_a_key_nothing_is_answered(home: House) -> None:
    async with home.anonymous() as nobody:
        for method, path, body, _ in SCOPES:
            answer = await nobody.request(method, path.format(checkpoint="ckpt_x"), json=body)
            assert error_of(answer)[:2] == (401, "auth.missing_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert (await nobody.get(path)).status_code == 200


async def test_a_key_that_is_wrong_is_refused_in_every_mode(tmp_path: Path) -> None:
    for mode in ("required", "optional", "disabled"):
        async with house(tmp_path / mode, auth_mode=mode) as home:
            token = await home.key()
            changed = token[:-1] + ("A" if token[-1] != "A" else "B")
            for header in (
                f"Bearer {changed}",
                "Bearer rhone_sk_x",
                "Bearer",
                "Basic YTpi",
                "Bearer " + "x" * 5000,
                "Bearer rhone_rt_" + token[9:],
            ):
                async with home.anonymous() as nobody:
                    answer = await nobody.get("/v1/runs", headers={"Authorization": header})
                    assert error_of(answer)[:2] == (401, "auth.invalid_key"), header
            async with home.holding(token.replace("rhone_sk_", "vai_sk_")) as older:
                assert (await older.get("/v1/runs")).status_code == 200


async def test_a_route_asks_for_its_scope(home: House) -> None:
    checkpoint = (await home.ask(await home.start())).id
    everything: tuple[Scope, ...] = ("run", "decide", "read", "feedback", "admin")
    for method, path, body, scope in SCOPES:
        token = await home.key(*(other for other in everything if other != scope))
        async with home.holding(token) as holder:
            answer = await holder.request(method, path.format(checkpoint=checkpoint), json=body)
        assert error_of(answer)[:2] == (403, "auth.scope_missing"), path
        assert answer.json()["error"]["details"] == {"scope": scope}


async def test_a_revoked_key_opens_nothing_from_that_moment_on(home: House) -> None:
    person = (await home.client.post("/v1/principals", json={"name": "ann"})).json()
    made = (
        await home.client.post("/v1/keys", json={"principal_id": person["id"], "scopes": ["read"]})
    ).json()
    async with home.holding(made["secret"]) as ann:
        assert (await ann.get("/v1/runs")).status_code == 200
        revoked = await home.client.post(f"/v1/keys/{made['id']}:revoke")
        assert revoked.json()["revoked_at"] is not None
        assert error_of(await ann.get("/v1/runs"))[:2] == (401, "auth.invalid_key")
    listed = (await home.client.get("/v1/keys")).json()["items"]
    assert made["id"] in [key["id"] for key in listed]
    assert all("secret" not in key for key in listed)
    assert (await home.client.get(f"/v1/keys/{made['id']}")).json()["scopes"] == ["read"]


async def test_keys_and_principals_are_refused_with_their_field(home: House) -> None:
    missing = {"principal_id": "prin_01m7z49h8gekkkvqm40akpv3q3", "scopes": ["read"]}
    assert error_of(await home.client.post("/v1/keys", json=missing)) == (
        *(404, "auth.principal_not_found"),
        "principal_id",
    )
    for body, param in (({**missing, "scopes": []}, "scopes"), ({**missing, "scopes": ["all"]}, "scopes[0]")):
        assert error_of(await home.client.post("/v1/keys", json=body)) == (
            400,
            "request.invalid_field",
            param,
        )
    for body, param in (({"name": ""}, "name"), ({"name": "a", "roles": ["a b"]}, "roles[0]")):
        answer = await home.client.post("/v1/principals", json=body)
        assert error_of(answer) == (400, "request.invalid_field", param)


async def test_without_keys_only_this_machine_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path / "data", auth_mode="disabled") as home, home.anonymous() as nobody:
        assert (await nobody.get("/v1/keys")).status_code == 200
        rebound = await nobody.get("/v1/runs", headers={"Host": "evil.example:80"})
        assert error_of(rebound)[:2] == (403, "auth.host_not_allowed")
        forged = await nobody.post("/v1/runs:cancel", json={"filter": {}}, headers={"Origin": "http://evil"})
        assert error_of(forged)[:2] == (403, "auth.origin_not_allowed")


async def test_where_keys_are_optional_somebody_without_one_decides_nothing(tmp_path: Path) -> None:
    async with house(tmp_path / "data", auth_mode="optional") as home, home.anonymous() as nobody:
        assert (await nobody.get("/v1/runs")).status_code == 200
        checkpoint = await home.ask(await home.start())
        body = {"decision": "approve", "envelope_digest": DIGEST}
        answer = await nobody.post(f"/v1/checkpoints/{checkpoint.id}:decide", json=body)
        assert error_of(answer)[:2] == (403, "auth.scope_missing")
        answers = await asyncio.gather(*(nobody.get("/v1/models") for _ in range(200)))
        refused = [one for one in answers if one.status_code == 429]
        assert error_of(refused[0])[:2] == (429, "quota.rate_limited")
        assert refused[0].headers["retry-after"] == "1"
        assert (await home.client.get("/v1/models")).status_code == 200


async def test_origins_are_an_allowlist(tmp_path: Path) -> None:
    config = '\n[cors]\norigins = ["https://app.example"]\n'
    async with house(tmp_path / "data", config=config) as home:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Authorization"}
        known = await home.client.options("/v1/runs", headers={**asked, "Origin": "https://app.example"})
        assert known.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in known.headers
        foreign = await home.client.options("/v1/runs", headers={**asked, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers
        posted = await home.client.post("/v1/runs", json=RUN, headers={"Origin": "https://app.example"})
        assert posted.status_code == 201
        assert posted.headers["access-control-allow-origin"] == "https://app.example"
        refused = await home.client.post("/v1/runs", json=RUN, headers={"Origin": "https://evil.example"})
        assert error_of(refused)[:2] == (403, "auth.origin_not_allowed")


async def test_a_page_of_the_same_host_is_let_in_behind_a_proxy_that_ends_tls(home: House) -> None:
    host = home.client.base_url.netloc.decode()
    for own in (f"http://{host}", f"https://{host}"):
        assert (await home.client.post("/v1/runs", json=RUN, headers={"Origin": own})).status_code == 201
    for foreign in ("null", "", host, f"https://{host}.evil.example", f"http://{host.partition(':')[0]}:1"):
        refused = await home.client.post("/v1/runs", json=RUN, headers={"Origin": foreign})
        assert error_of(refused)[:2] == (403, "auth.origin_not_allowed"), foreign


async def test_a_new_project_is_closed_to_all_others(home: House) -> None:
    made = (await home.client.post("/v1/projects", json={"name": "two"})).json()
    await home.start()
    async with home.holding(made["key"]["secret"]) as other:
        for path in ("/v1/runs", "/v1/sessions", "/v1/checkpoints"):
            assert (await other.get(path)).json()["items"] == []
        assert [one["name"] for one in (await other.get("/v1/principals")).json()["items"]] == ["admin"]
        assert (await other.get(f"/v1/projects/{made['id']}")).json()["name"] == "two"
        plain = await other.post("/v1/principals", json={"name": "bob"})
        key = {"principal_id": plain.json()["id"], "scopes": ["admin"]}
        async with home.holding((await other.post("/v1/keys", json=key)).json()["secret"]) as bob:
            assert [one["id"] for one in (await bob.get("/v1/projects")).json()["items"]] == [made["id"]]
            assert error_of(await bob.get("/v1/projects/proj_default"))[0] == 404
            assert error_of(await bob.post("/v1/projects", json={"name": "x"}))[0] == 403
    assert len((await home.client.get("/v1/projects")).json()["items"]) == 2


BODIES: dict[str, Any] = {
    ":erase": {"ordinal": 1},
    ":approve": {"launch_digest": "x"},
    ":interrupt": {},
    ":send": {"input": "x"},
    "{run_id}:resume": {"limits": {}},
    ":cancel": {},
    ":submit": {"output": 1},
    ":decide": {"decision": "deny"},
    ":set-instructions": {"instructions": "x"},
    ":set-phase": {"phase": "x"},
    "{principal_id}": {"roles": []},
}


def body_for(path: str) -> Any:
    return next((body for end, body in BODIES.items() if path.endswith(end)), {})


async def test_no_route_reaches_what_is_another_projects(home: House) -> None:
    """Every route of the document that names something, asked with a key of another project."""
    run_id = await home.start()
    checkpoint = await home.ask(run_id, kind="client_tool")
    project = await home.commit(lambda tx: projects.create(tx, principals.DEFAULT.org_id, "other"))
    tenant = Tenant(org_id=principals.DEFAULT.org_id, project_id=project.id)
    keys = (await home.client.get("/v1/keys")).json()["items"]
    named = {
        "run_id": run_id,
        "session_id": checkpoint.session_id,
        "checkpoint_id": checkpoint.id,
        "tool_id": str(checkpoint.tool_execution_id),
        "snapshot_id": "capsnap_01m7z49h8gekkkvqm40akpv3q3",
        "artifact_id": "art_01m7z49h8gekkkvqm40akpv3q3",
        "key_id": keys[0]["id"],
        "principal_id": keys[0]["principal_id"],
        "project_id": "proj_default",
        "scope": "project",
        **dict.fromkeys(("name", "ref", "key"), "theirs"),
        "grant_id": (await home.client.post("/v1/grants", json={"command": "ls"})).json()["id"],
    }
    await home.client.put("/v1/policies/theirs", json={"text": ""})
    paths = (await home.client.get("/openapi.json")).json()["paths"]
    before = await state_of(home, run_id)
    asked = 0
    async with home.holding(await home.key(tenant=tenant)) as stranger:
        for path, operations in paths.items():
            if "{" not in path or path.endswith((":authorize", ":callback", ":disconnect")):
                continue  # an account is the caller's own, at a server of the installation
            address = re.sub(r"\{(\w+)\}", lambda found: named[found[1]], path)
            params = {"step": 1} if path.endswith("effective-request") else {}
            params |= {"path": "a"} if path.endswith("files") else {}
            for method in operations:
                if method == "put":  # what is put under a name is one's own project's
                    continue
                body = None if method == "get" else body_for(path)
                for headers in ({}, {"Accept": "text/event-stream", "Last-Event-ID": "1"}):
                    answer = await stranger.request(
                        method, address, json=body, params=params, headers=headers
                    )
                    empty = answer.text == '{"items":[],"next_cursor":null}'
                    assert answer.status_code == 404 or empty, (method, address, answer.text)
                    assert run_id not in answer.text.replace(address, "").replace(f"'{run_id}'", "")
                    asked += 1
    assert asked > 50
    assert await state_of(home, run_id) == before


async def test_lists_and_filters_show_nothing_of_another_project(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id)
    project = await home.commit(lambda tx: projects.create(tx, principals.DEFAULT.org_id, "other"))
    tenant = Tenant(org_id=principals.DEFAULT.org_id, project_id=project.id)
    async with home.holding(await home.key(tenant=tenant)) as stranger:
        for path in ("/v1/runs", "/v1/sessions", "/v1/checkpoints"):
            assert (await stranger.get(path)).json() == {"items": [], "next_cursor": None}
        for path, params in (
            ("/v1/runs", {"session_id": checkpoint.session_id}),
            ("/v1/checkpoints", {"run_id": run_id}),
        ):
            assert (await stranger.get(path, params=params)).status_code == 404
        within = {**RUN, "session_id": checkpoint.session_id}
        assert error_of(await stranger.post("/v1/runs", json=within))[:2] == (404, "session.not_found")
        stopped = await stranger.post("/v1/runs:cancel", json={"filter": {"run_ids": [run_id]}})
        assert stopped.json()["run_ids"] == []
        assert (await stranger.get("/v1/runs", params={"cursor": "x"})).status_code == 400


async def state_of(home: House, run_id: RunId) -> Any:
    paths = (f"/v1/runs/{run_id}", "/v1/checkpoints", "/v1/sessions", "/v1/keys", "/v1/principals")
    return [(await home.client.get(path)).json() for path in paths]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
async def test_a_house_without_keys_does_not_open_to_others(tmp_path: Path, host: str) -> None:
    from gateway.settings import Settings
    from gateway.wiring import auth_mode
    from protocol.config import Config
    from protocol.errors import InvalidRequest

    settings = Settings.model_validate({"data": tmp_path, "host": host, "auth_mode": "disabled"})
    with pytest.raises(InvalidRequest, match="loopback"):
        auth_mode(settings, Config())
