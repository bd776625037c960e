"""Standing permissions over the API: shown in words, saved, listed, revoked."""

from tests.flow.gateway.house import House, error_of


async def test_a_permission_is_shown_before_it_is_saved(home: House) -> None:
    body = {"command": "git show *", "expires_in_s": 3600}
    shown = await home.client.post("/v1/grants", json={**body, "dry_run": True})
    assert shown.status_code == 200, shown.text
    assert "'show', any one argument that is no option" in shown.json()["words"]
    assert (await home.client.get("/v1/grants")).json()["items"] == []
    made = await home.client.post("/v1/grants", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["argv"] == ["git", "show", "*"]
    assert made.json()["expires_at"] is not None
    assert (await home.client.get("/v1/grants")).json()["items"] == [made.json()]


async def test_a_revoked_permission_stays_in_the_list(home: House) -> None:
    made = (await home.client.post("/v1/grants", json={"command": "pytest -q"})).json()
    gone = await home.client.delete(f"/v1/grants/{made['id']}")
    assert gone.status_code == 200, gone.text
    assert gone.json()["revoked_at"] is not None
    assert (await home.client.get("/v1/grants")).json()["items"] == [gone.json()]
    assert error_of(await home.client.delete("/v1/grants/grant_none"))[:2] == (404, "grant.not_found")


async def test_a_wrapper_is_refused_and_a_whole_project_wants_an_administrator(home: House) -> None:
    wrapped = await home.client.post("/v1/grants", json={"command": "sh -c 'pytest'"})
    assert error_of(wrapped) == (400, "grant.not_plain", "command")
    async with home.holding(await home.key("decide", "read")) as decider:
        wide = await decider.post("/v1/grants", json={"command": "pytest", "whole_project": True})
        assert error_of(wide) == (403, "auth.scope_missing", "whole_project")
        assert (await decider.post("/v1/grants", json={"command": "pytest"})).status_code == 201
    async with home.holding(await home.key("run", "read")) as runner:
        refused = await runner.post("/v1/grants", json={"command": "pytest"})
        assert error_of(refused)[:2] == (403, "auth.scope_missing")
