"""Memory over the API: versions, search, tombstones, and nobody else's."""

import pytest

from tests.flow.gateway.house import House, error_of


async def put(home: House, path: str, text: str, **fields: object) -> int:
    answer = await home.client.put(f"/v1/memory/{path}", json={"text": text, **fields})
    assert answer.status_code in (200, 201), answer.text
    return answer.status_code


async def test_a_record_is_written_read_found_and_forgotten(home: House) -> None:
    assert await put(home, "project/deploy/how", "Run make ship.", labels=["private"]) == 201
    told = (await home.client.get("/v1/memory/project/deploy/how")).json()
    assert (told["text"], told["version"], told["labels"]) == ("Run make ship.", 1, ["private"])
    assert told["provenance"]["principal_id"].startswith("prin_")
    assert told["provenance"]["run_id"] is None
    assert await put(home, "project/deploy/how", "Run make release.", version=1) == 200
    stale = await home.client.put("/v1/memory/project/deploy/how", json={"text": "x", "version": 1})
    assert error_of(stale) == (409, "memory.stale", "version")
    found = (await home.client.get("/v1/memory/project", params={"q": "release"})).json()
    assert [one["version"] for one in found["items"]] == [2]
    gone = await home.client.delete("/v1/memory/project/deploy/how", params={"version": 2})
    assert gone.json() == {"key": "deploy/how", "version": 3}
    for answer in (
        await home.client.get("/v1/memory/project/deploy/how"),
        await home.client.delete("/v1/memory/project/deploy/how"),
    ):
        assert error_of(answer)[:2] == (404, "memory.not_found")
    assert (await home.client.get("/v1/memory/project", params={"q": "release"})).json()["items"] == []


async def test_a_write_is_made_once_under_one_key(home: House) -> None:
    headers = {"Idempotency-Key": "once"}
    path = "/v1/memory/project/once"
    first = await home.client.put(path, json={"text": "one"}, headers=headers)
    again = await home.client.put(path, json={"text": "one"}, headers=headers)
    assert (first.json(), again.headers["Idempotency-Replayed"]) == (again.json(), "true")
    other = await home.client.put(path, json={"text": "two"}, headers=headers)
    assert error_of(other)[:2] == (409, "idempotency.conflict")


async def test_another_tenant_sees_nothing(home: House) -> None:
    await put(home, "project/shared", "ours")
    await put(home, "user/mine", "the administrator's")
    made = (await home.client.post("/v1/projects", json={"name": "two"})).json()
    async with home.holding(made["key"]["secret"]) as stranger:
        for path in ("/v1/memory/project/shared", "/v1/memory/user/mine"):
            assert error_of(await stranger.get(path))[:2] == (404, "memory.not_found")
            assert error_of(await stranger.delete(path))[:2] == (404, "memory.not_found")
        for scope in ("project", "user"):
            assert (await stranger.get(f"/v1/memory/{scope}")).json()["items"] == []
        session = (await home.client.post("/v1/sessions", json={})).json()["id"]
        answer = await stranger.get("/v1/memory/session", params={"session_id": session})
        assert answer.status_code == 404


async def test_a_user_has_a_memory_of_their_own_and_a_session_has_one(home: House) -> None:
    await put(home, "user/colour", "blue")
    token = await home.key(roles=(), name="colleague")
    async with home.holding(token) as colleague:
        assert (await colleague.get("/v1/memory/user/colour")).status_code == 404
    session = (await home.client.post("/v1/sessions", json={"external_session_id": "mem-1"})).json()["id"]
    await put(home, f"session/note?session_id={session}", "of this session")
    read = await home.client.get("/v1/memory/session/note", params={"session_id": "mem-1"})
    assert read.json()["text"] == "of this session"


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("session/x", "session_id"),
        ("project/x?session_id=sess_1", "session_id"),
        ("planet/x", "scope"),
        ("project/-x", "key"),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_field(home: House, path: str, param: str) -> None:
    answer = await home.client.put(f"/v1/memory/{path}", json={"text": "x"})
    assert (answer.status_code, error_of(answer)[2]) == (400, param)


async def test_a_body_is_read_strictly(home: House) -> None:
    for body, param in (({"text": ""}, "text"), ({"text": "x", "ttl": 1}, "ttl"), ({}, "text")):
        answer = await home.client.put("/v1/memory/project/x", json=body)
        assert (answer.status_code, error_of(answer)[2]) == (400, param)


async def test_a_list_is_read_in_pages_and_takes_no_other_list_s_cursor(home: House) -> None:
    for number in range(3):
        await put(home, f"project/k{number}", "some words")
    for query in ({}, {"q": "words"}):
        path, asked = "/v1/memory/project", {"limit": 2, **query}
        first = (await home.client.get(path, params=asked)).json()
        last = (await home.client.get(path, params=asked | {"cursor": first["next_cursor"]})).json()
        keys = [one["key"] for page in (first, last) for one in page["items"]]
        assert (sorted(keys), last["next_cursor"]) == (["k0", "k1", "k2"], None)
        for cursor in ("x", "WzFd" if not query else "Wy0xXQ==", first["next_cursor"][:-4]):
            refused = await home.client.get(path, params=asked | {"cursor": cursor})
            assert error_of(refused) == (400, "request.cursor_invalid", "cursor")
