"""Policies of a project over the API: an administrator tightens, nobody loosens."""

from tests.flow.gateway.house import House, error_of

ASK = '@id("strict.ask") forbid (principal, action == Action::"invoke_unattended", resource is Tool);'
PERMIT = '@id("strict.all") permit (principal, action, resource);'


async def test_a_policy_is_kept_in_versions_named_by_digest(home: House) -> None:
    first = await home.client.put("/v1/policies/strict", json={"text": ASK})
    assert first.status_code == 201, first.text
    assert (first.json()["version"], first.json()["text"]) == (1, ASK)
    again = await home.client.put("/v1/policies/strict", json={"text": ASK})
    assert (again.status_code, again.json()) == (200, first.json())
    lifted = await home.client.put("/v1/policies/strict", json={"text": ""})
    assert (lifted.status_code, lifted.json()["version"]) == (201, 2)
    assert (await home.client.get("/v1/policies/strict")).json() == lifted.json()
    digest = first.json()["digest"]
    assert (await home.client.get(f"/v1/policies/strict?digest={digest}")).json() == first.json()
    assert (await home.client.get("/v1/policies")).json()["items"] == [lifted.json()]


async def test_a_policy_that_loosens_or_does_not_read_is_refused(home: House) -> None:
    loose = await home.client.put("/v1/policies/strict", json={"text": PERMIT})
    assert error_of(loose)[:2] == (403, "policy.loosens")
    wrong = await home.client.put("/v1/policies/strict", json={"text": ASK.replace("Tool", "Tol")})
    assert error_of(wrong)[:2] == (400, "policy.invalid")
    name = await home.client.put("/v1/policies/No.Name", json={"text": ""})
    assert error_of(name) == (400, "request.invalid_field", "name")
    assert error_of(await home.client.get("/v1/policies/strict"))[:2] == (404, "policy.not_found")


async def test_only_an_administrator_puts_a_policy(home: House) -> None:
    async with home.holding(await home.key("run", "read")) as reader:
        refused = await reader.put("/v1/policies/strict", json={"text": ASK})
        assert error_of(refused)[:2] == (403, "auth.scope_missing")
        assert (await reader.get("/v1/policies")).json()["items"] == []


async def test_a_request_that_loosens_is_forbidden(home: House) -> None:
    for mode in ("warn", "off"):
        body = {"input": "x", "model": "local/m1", "safety": {"mode": mode}}
        refused = await home.client.post("/v1/runs", json=body)
        assert error_of(refused) == (403, "policy.loosens", "safety.mode")


async def test_a_model_or_a_place_that_a_rule_forbids_is_refused_with_the_rule(home: House) -> None:
    text = """@id("strict.no-m1")
    forbid (principal, action == Action::"spend", resource == Model::"local/m1");
    @id("strict.no-dev") forbid (principal, action == Action::"place", resource == Target::"dev");"""
    assert (await home.client.put("/v1/policies/strict", json={"text": text})).status_code == 201
    target = {"kind": "workspace", "name": "dev"}
    for fields, param, rule in (
        ({"model": "smart"}, "model", "strict.no-m1"),
        ({"model": "local/m2", "target": target}, "target.name", "strict.no-dev"),
    ):
        refused = await home.client.post("/v1/runs", json={"input": "x", **fields})
        assert error_of(refused) == (403, "policy.denied", param)
        assert refused.json()["error"]["details"] == {"rule": rule}
    assert (await home.client.post("/v1/runs", json={"input": "x", "model": "local/m2"})).status_code == 201
    assert len((await home.client.get("/v1/runs")).json()["items"]) == 1
