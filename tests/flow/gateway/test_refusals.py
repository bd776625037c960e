"""Bad input is refused at once with the field that is wrong, and nothing is made."""

import time
from typing import Any

import pytest

from tests.flow.gateway.house import House, error_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED: dict[str, Any] = {"input": "fix it", "model": "smart"}
JSON = {"Content-Type": "application/json"}
DEV = {"kind": "workspace", "name": "dev"}


def repo(**fields: Any) -> dict[str, Any]:
    return {"target": {**DEV, "repo": {"remote": "forge/demo", **fields}}}


def capability(**fields: Any) -> dict[str, Any]:
    return {"capabilities": [fields]}


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"inputs": "x"}, "request.unknown_field", "inputs"),
    ({"limits": {"max_turn": 1}}, "request.unknown_field", "limits.max_turn"),
    (capability(kind="tool", name="bash", aproval="ask"), "request.unknown_field", "capabilities[0].aproval"),
    ({"model": 7}, "request.invalid_field", "model"),
    ({"limits": {"max_turns": "5"}}, "request.invalid_field", "limits.max_turns"),
    ({"limits": {"max_turns": -1}}, "request.invalid_field", "limits.max_turns"),
    ({"limits": {"parallel_tools": 1}}, "request.invalid_field", "limits.parallel_tools"),
    ({"input": ""}, "request.invalid_field", "input"),
    ({"input": None}, "request.invalid_field", None),
    ({"blocks": [{"type": "input", "content": []}]}, "request.invalid_field", "blocks[0].content"),
    ({"metadata": {"a": 1}}, "request.invalid_field", "metadata.a"),
    ({"mode": "later"}, "request.invalid_field", "mode"),
    ({"model": "nobody/knows"}, "model.unknown", "model"),
    ({"model": None, "routing": {"model": "nobody"}}, "model.unknown", "routing.model"),
    ({"model": None}, "model.missing", "model"),
    ({"limits": {"max_cost_usd": 1.0}}, "model.unpriced", "limits.max_cost_usd"),
    ({"target": {"kind": "workspace", "name": "prod"}}, "target.unknown", "target.name"),
    ({"target": {"kind": "browser", "name": "dev"}}, "capability.unsupported", "target.kind"),
    ({"target": {"kind": "client", "name": "dev"}}, "capability.unsupported", "target.kind"),
    ({"target": {"kind": "cloud", "name": "dev"}}, "request.invalid_field", "target.kind"),
    ({"targets": [DEV]}, "capability.unsupported", "targets"),
    ({"agent": "triage@1"}, "capability.unsupported", "agent"),
    ({"harness": {"name": "codex"}}, "capability.unsupported", "harness.name"),
    ({"harness": {"placement": "local"}}, "capability.unsupported", "harness.placement"),
    ({"safety": {"profile": "strict"}}, "safety.unknown_profile", "safety.profile"),
    ({"tools": [{"source": "plugin", "name": "x"}]}, "capability.unsupported", "tools[0].source"),
    ({"tools": [{"source": "native", "name": "web_flute"}]}, "capability.unknown_tool", "tools[0].name"),
    (capability(kind="tool", name="bsh"), "capability.unknown_tool", "capabilities[0].name"),
    (capability(kind="mcp", server="github"), "capability.unknown_mcp_server", "capabilities[0].server"),
    (capability(kind="eval", ref="x@1"), "capability.unsupported", "capabilities[0].kind"),
    (capability(kind="teleport"), "request.invalid_field", "capabilities[0]"),
    (
        capability(kind="client_tool", name="bash", description="d", input_schema={}),
        "capability.name_taken",
        "capabilities[0].name",
    ),
    (
        capability(kind="client_tool", name="mine", description="d", input_schema={"type": 3}),
        "capability.schema_invalid",
        "capabilities[0].input_schema",
    ),
    (repo(remote="nowhere/demo"), "git.unknown_forge", "target.repo.remote"),
    (repo(remote="bare/demo"), "git.remote_incomplete", "target.repo.remote"),
    (repo(remote="../demo"), "git.unknown_forge", "target.repo.remote"),
    (repo(remote="forge/.."), "git.remote_invalid", "target.repo.remote"),
    (repo(remote="forge/a/b/c"), "request.invalid_field", "target.repo.remote"),
    (repo(branch="main"), "git.branch_invalid", "target.repo.branch"),
    (repo(branch="-x"), "git.branch_invalid", "target.repo.branch"),
    (repo(branch="a..b"), "git.branch_invalid", "target.repo.branch"),
    (repo(branch="a b"), "git.branch_invalid", "target.repo.branch"),
    (repo(branch="refs/heads/x"), "git.branch_invalid", "target.repo.branch"),
    (repo(branch="x.lock"), "git.branch_invalid", "target.repo.branch"),
    (repo(base="a~1"), "git.branch_invalid", "target.repo.base"),
    ({"output": {"json_schema": {"type": "array"}}}, "request.invalid_field", "output.json_schema"),
    (
        {"input": None, "blocks": [{"content": [{"type": "asset", "asset_id": "a"}]}]},
        "capability.unsupported",
        "blocks[0].content[0]",
    ),
    ({"request": {}}, "capability.unsupported", "request"),
]


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED)
async def test_a_run_that_cannot_be_built_is_refused(
    shared: House, fields: dict[str, Any], code: str, param: str | None
) -> None:
    body = {name: value for name, value in {**ASKED, **fields}.items() if value is not None}
    assert error_of(await shared.client.post("/v1/runs", json=body)) == (400, code, param)
    assert await nothing_made(shared)


RAW: list[tuple[bytes, int, str]] = [
    (b"", 400, "request.invalid_field"),
    (b"{", 400, "request.not_json"),
    (b"[]", 400, "request.invalid_field"),
    (b'"input"', 400, "request.invalid_field"),
    (b'{"input": "a", "input": "b", "model": "smart"}', 400, "request.duplicate_key"),
    (b'{"input": "a", "model": "smart", "limits": {"max_cost_usd": NaN}}', 400, "request.not_json"),
    (b'{"input": "a", "model": "smart", "limits": {"max_cost_usd": 1e999}}', 400, "request.not_json"),
    (b'{"input": "a", "model": "smart", "limits": {"max_turns": Infinity}}', 400, "request.not_json"),
    (b'{"input": "\\ud800", "model": "smart"}', 400, "request.not_json"),
    (b'{"input": "\xff", "model": "smart"}', 400, "request.not_utf8"),
    (b"[" * 100_000, 400, "request.too_deep"),
    (b'{"input":' * 100_000 + b"1" + b"}" * 100_000, 400, "request.too_deep"),
    (b'{"input": "' + b"a" * 9 * 1024 * 1024 + b'"}', 413, "request.too_large"),
]


@pytest.mark.parametrize(
    ("raw", "status", "code"), RAW, ids=[raw[:24].decode("latin-1") for raw, _, _ in RAW]
)
async def test_bytes_that_are_no_request_are_refused(
    shared: House, raw: bytes, status: int, code: str
) -> None:
    started = time.monotonic()
    answer = await shared.client.post("/v1/runs", content=raw, headers={"Content-Type": "application/json"})
    assert error_of(answer)[:2] == (status, code)
    assert time.monotonic() - started < 30
    assert await nothing_made(shared)


async def test_a_body_that_grows_over_the_limit_is_refused_while_it_is_sent(shared: House) -> None:
    async def chunks() -> Any:
        for _ in range(9 * 16):
            yield b"x" * 65_536

    answer = await shared.client.post(
        "/v1/runs", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert error_of(answer)[:2] == (413, "request.too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type_is_refused(shared: House, kind: str) -> None:
    answer = await shared.client.post("/v1/runs", content=b'{"input": "a"}', headers={"Content-Type": kind})
    assert error_of(answer) == (400, "request.content_type", "Content-Type")


async def test_a_named_session_that_does_not_exist_is_refused(shared: House) -> None:
    for name in ("sess_01m7z49h8gekkkvqm40akpv3q3", "nobody", "a\u0000b", "\u00e4", "x" * 300):
        answer = await shared.client.post("/v1/runs", json={**ASKED, "session_id": name})
        assert error_of(answer) == (404, "session.not_found", "session_id")
    assert await nothing_made(shared)


async def test_unknown_parameters_and_hostile_cursors_are_refused(shared: House) -> None:
    for params, code, param in (
        ({"stauts": "open"}, "request.unknown_parameter", "stauts"),
        ({"status": "opened"}, "request.invalid_parameter", "status"),
        ({"limit": "201"}, "request.invalid_parameter", "limit"),
        ({"limit": "0"}, "request.invalid_parameter", "limit"),
        ({"limit": "ten"}, "request.invalid_parameter", "limit"),
        ({"order": "up"}, "request.invalid_parameter", "order"),
        ({"cursor": "x"}, "request.cursor_invalid", "cursor"),
        ({"cursor": "WyJhIiwiYiJd"}, "request.cursor_invalid", "cursor"),
        ({"cursor": "\u00e4"}, "request.cursor_invalid", "cursor"),
    ):
        answer = await shared.client.get("/v1/runs", params=params)
        assert error_of(answer) == (400, code, param), params


async def nothing_made(shared: House) -> bool:
    made = [(await shared.client.get(path)).json()["items"] for path in ("/v1/runs", "/v1/sessions")]
    return made == [[], []] and shared.engine.started == []
