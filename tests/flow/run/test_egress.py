"""A run with a way out: through the proxy's own process, with a credential, across deaths of both sides."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.ids import RunId
from records import snapshots
from tests.egress.proxied import HOST, Proxied, outside
from tests.egress.upstream import Upstream
from tests.stack import Stack, docker, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}
SECRET = "the-real-credential-of-the-house"
SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "{input}" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


class Installation(Proxied):
    """What its runs ask for, and where."""

    def asked(self, *rules: dict[str, object]) -> list[dict[str, object]]:
        here = {"host": HOST, "port": self.upstream.port}
        return [{"kind": "egress", "rules": [{**here, **rule} for rule in rules]}]

    def url(self, path: str) -> str:
        return f"https://{HOST}:{self.upstream.port}{path}"


def table(upstream: Upstream) -> str:
    return f"""
{outside(upstream)}
[egress.credentials.house]
valueRef = {{ kind = "file", name = "house.token" }}
host = "{HOST}"
port = {upstream.port}
variable = "HOUSE_TOKEN"
methods = ["GET"]
paths = ["/echo/**"]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    async with (
        Upstream(folder) as upstream,
        Installation(folder / "data", temporal_server, cache, SCRIPT, egress=table(upstream)) as made,
    ):
        made.upstream, made.proxies = upstream, []
        (made.data / "house.token").write_text(SECRET + "\n")
        await made.start_proxy()
        await made.start_worker()
        yield made
        made.stop_proxies()


async def test_without_an_egress_grant_a_box_is_as_it_always_was(stack: Installation) -> None:
    run = await stack.create("env | grep -ic proxy; ls /rhone-egress; sleep 3", target=DEV)
    await stack.told(run, "tool_execution.started")
    container = await stack.box(run)
    mounts = docker("inspect", "-f", "{{range .Mounts}}{{.Destination}} {{end}}", container)
    assert (mounts.strip(), docker("inspect", "-f", "{{.HostConfig.NetworkMode}}", container).strip()) == (
        "/rhone-agent",
        "none",
    )
    told = await stack.ended(run)
    assert told[-1]["output_text"].startswith("0\n")


async def test_a_run_uses_a_credential_that_its_box_never_sees(stack: Installation) -> None:
    given = f'curl -sS -H "Authorization: Bearer $HOUSE_TOKEN" {stack.url("/echo/a")}'
    command = f"{given}; echo; env; curl -sS {stack.url('/no')}"
    asked = stack.asked({"credential": "house", "paths": ["/echo/**"]})
    run = await stack.create(command, target=DEV, capabilities=asked)
    told = await stack.ended(run)
    [came] = stack.upstream.of("/echo/a")
    assert came.headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(told)
    assert "Bearer ****" in told[-1]["output_text"] and "rhone_placeholder_" in told[-1]["output_text"]
    assert [denial["rule"] for denial in of_type(told, "egress.denied")] == ["egress.path"]
    snapshot = (await stack.record(run)).run.capability_snapshot_id
    assert snapshot is not None
    [evidence] = await stack.read(lambda c: snapshots.list_evidence(c, snapshot))
    assert str(evidence.body["egress_authority"]).startswith("sha256:")


async def test_a_proxy_that_dies_in_the_middle_of_a_command_is_there_again_for_it(
    stack: Installation,
) -> None:
    get = f"curl -fsS -o /dev/null {stack.url('/v1')} 2>/dev/null"
    down = f"while {get}; do sleep 0.1; done; echo down"
    command = f"{get} && echo up; {down}; until {get}; do sleep 0.1; done; echo back"
    run = await stack.create(command, target=DEV, capabilities=stack.asked({}))
    await stack.told(run, "tool_execution.output", 1)
    stack.proxies[-1].kill()
    await stack.told(run, "tool_execution.output", 2)
    await stack.start_proxy()
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "up\ndown\nback\n"


async def lost_after(stack: Installation, method: str) -> RunId:
    """A run whose box dies while its command sleeps, after one request."""
    once = f"curl -sS -X {method} {stack.url('/lost/' + method)}; echo; [ -e /tmp/again ] || sleep 600"
    run = await stack.create(once, target=DEV, capabilities=stack.asked({"methods": ["GET", "POST"]}))
    await stack.told(run, "tool_execution.output")
    docker("kill", await stack.box(run))
    return run


async def test_a_lost_command_that_only_read_runs_anew_by_itself(stack: Installation) -> None:
    run = await lost_after(stack, "GET")
    await stack.told(run, "tool_execution.output", 2)
    assert len(stack.upstream.of("/lost/GET")) == 2
    await stack.cancel(run)
    assert of_type(await stack.ended(run), "checkpoint.opened") == []


async def test_a_lost_command_that_may_have_changed_something_waits_for_a_person(stack: Installation) -> None:
    run = await lost_after(stack, "POST")
    asked = await stack.checkpoint(run)
    assert (asked.kind, asked.tool) == ("outcome_unknown", "bash")
    assert len(stack.upstream.of("/lost/POST")) == 1
    await stack.decide(asked, "answer", answer={"resolution": "succeeded"})
    told = await stack.ended(run)
    assert "did happen" in told[-1]["output_text"]
    assert len(stack.upstream.of("/lost/POST")) == 1


@pytest.mark.slow
async def test_without_a_proxy_a_run_with_egress_fails_and_says_why(stack: Installation) -> None:
    stack.proxies[-1].kill()
    run = await stack.create("true", target=DEV, capabilities=stack.asked({}))
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "egress.proxy_away")
    assert of_type(told, "call.started") == []
