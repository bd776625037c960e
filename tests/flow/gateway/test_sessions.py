"""Sessions: found by either name, changed field by field, read as a timeline."""

from typing import Any

from tests.flow.gateway.house import House, error_of


async def test_a_session_is_found_by_the_callers_own_name(home: House) -> None:
    asked = {
        "external_session_id": "crm/user:42/chat",
        "actor_id": "ann",
        "instructions": "be brief",
        "defaults": {"model": "smart", "limits": {"max_turns": 7}},
        "metadata": {"tier": "gold"},
    }
    made = await home.client.post("/v1/sessions", json=asked)
    assert made.status_code == 201
    session = made.json()
    assert {name: session[name] for name in asked if name != "defaults"} == {
        name: value for name, value in asked.items() if name != "defaults"
    }
    for name in (session["id"], "crm/user:42/chat", "crm%2Fuser%3A42%2Fchat"):
        assert (await home.client.get(f"/v1/sessions/{name}")).json() == session
    run = await home.client.post("/v1/runs", json={"session_id": "crm/user:42/chat", "input": "x"})
    assert run.json()["session_id"] == session["id"]
    assert (run.json()["model"], run.json()["limits"]["max_turns"]) == ("smart", 7)
    listed = await home.client.get("/v1/runs", params={"session_id": "crm/user:42/chat"})
    assert [one["id"] for one in listed.json()["items"]] == [run.json()["id"]]


async def test_an_external_id_is_taken_once(home: House) -> None:
    first = await home.client.post("/v1/sessions", json={"external_session_id": "a"})
    second = await home.client.post("/v1/sessions", json={"external_session_id": "a"})
    assert error_of(second) == (409, "session.external_id_taken", "external_session_id")
    assert second.json()["error"]["details"] == {"session_id": first.json()["id"]}


async def test_a_patch_replaces_what_it_names(home: House) -> None:
    made = (await home.client.post("/v1/sessions", json={"actor_id": "ann", "metadata": {"a": "1"}})).json()
    path = f"/v1/sessions/{made['id']}"
    patched = (await home.client.patch(path, json={"metadata": {"b": "2"}})).json()
    assert (patched["actor_id"], patched["metadata"]) == ("ann", {"b": "2"})
    emptied = (await home.client.patch(path, json={"actor_id": None, "defaults": {"model": "smart"}})).json()
    assert (emptied["actor_id"], emptied["defaults"]["model"]) == (None, "smart")
    for body, code, param in (
        ({"id": "x"}, "request.unknown_field", "id"),
        ({"metadata": {"a": 1}}, "request.invalid_field", "metadata.a"),
        ({"defaults": {"model": "nobody"}}, "model.unknown", "defaults.model"),
    ):
        assert error_of(await home.client.patch(path, json=body)) == (400, code, param)


async def test_instructions_count_from_the_next_run_on(home: House) -> None:
    made = (await home.client.post("/v1/sessions", json={"instructions": "old"})).json()
    path = f"/v1/sessions/{made['id']}"
    changed = await home.client.post(f"{path}:set-instructions", json={"instructions": "new"})
    assert changed.json()["instructions"] == "new"
    removed = await home.client.post(f"{path}:set-instructions", json={"instructions": None})
    assert removed.json()["instructions"] is None
    assert error_of(await home.client.post(f"{path}:set-instructions", json={}))[2] == "instructions"
    assert (await home.client.post(f"{path}:set-phase", json={"phase": "triage"})).json()["phase"] == "triage"


async def test_the_timeline_shows_everything_in_order(home: House) -> None:
    run_id = await home.start()
    checkpoint = await home.ask(run_id)
    session = (await home.client.get(f"/v1/runs/{run_id}")).json()["session_id"]
    path = f"/v1/sessions/{session}/timeline"
    whole = (await home.client.get(path)).json()
    kinds = [entry["kind"] for entry in whole["entries"]]
    assert kinds == ["run", "block", "tool_execution", "checkpoint"]
    assert whole["next_cursor"] is None
    run, block, _, asked = whole["entries"]
    assert (run["id"], run["model"]) == (run_id, "smart")
    assert block["content"] == [{"type": "text", "text": "do it"}]
    assert (asked["id"], asked["checkpoint_kind"], asked["run_id"]) == (checkpoint.id, "approval", run_id)
    pieces: list[Any] = []
    params: dict[str, Any] = {"limit": 1}
    while True:
        page = (await home.client.get(path, params=params)).json()
        pieces += page["entries"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert pieces == whole["entries"]


async def test_the_blocks_are_what_the_model_sees_next(home: House) -> None:
    run_id = await home.start()
    session = (await home.client.get(f"/v1/runs/{run_id}")).json()["session_id"]
    head = (await home.client.get(f"/v1/sessions/{session}/blocks")).json()
    [block] = head["blocks"]
    assert head["head"] == block["id"]
    assert (block["type"], block["run_id"]) == ("input", run_id)


async def test_what_is_not_built_says_so(home: House) -> None:
    made = (await home.client.post("/v1/sessions", json={})).json()["id"]
    for method, path in (
        ("POST", f"/v1/sessions/{made}:branch"),
        ("POST", f"/v1/sessions/{made}:snapshot"),
        ("POST", f"/v1/sessions/{made}:compact"),
        ("GET", f"/v1/sessions/{made}/events"),
        ("POST", "/v1/calls"),
        ("GET", "/v1/calls/call_1"),
        ("POST", "/v1/tokens"),
        ("GET", "/v1/targets"),
        ("GET", "/v1/ws"),
        ("GET", "/v1/runs/run_01m7z49h8gekkkvqm40akpv3q3/trace"),
    ):
        answer = await home.client.request(method, path)
        assert error_of(answer)[:2] == (400, "capability.unsupported"), path
