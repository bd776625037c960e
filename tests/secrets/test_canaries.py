"""SEC-01: twenty secrets in a world that echoes them, while workers die: none is anywhere afterwards."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.rhone_verify import verify
from gateway.receipts import ReceiptQuery, bundle_of
from protocol.config import Config
from protocol.config_text import parse_config
from protocol.digest import canonical
from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from records import webhooks
from tests.invariants import assert_standing_invariants
from tests.secrets import canaries
from tests.secrets.echoes import Echoes, echoing
from tests.stack import Event, Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [
    *(pytest.mark.temporal, pytest.mark.docker, pytest.mark.faults),
    pytest.mark.timeout(1800),
]

MODELS = ("a", "b", "c", "refuses")
SERVERS = ("one", "two", "three", "four", "definition", "error")
FORGES = ("gitea", "github")
UNUSED = ("UNUSED_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "OPENAI_API_KEY")
BUILT_IN = {"bash", "count_non_idempotent_write", "web_search"}
DEV = {"kind": "workspace", "name": "dev"}
LOOK = "env; cat /proc/*/environ /proc/*/cmdline; git config --list"


class Kept:
    """The secrets: in files of a folder, or in the worker's environment, by their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.environment: dict[str, str] = {}
        self.values: list[str] = []

    def file(self, name: str) -> str:
        path = self.folder / name
        path.write_text(self._fresh())
        return f'{{ kind = "file", name = "{path}" }}'

    def variable(self, name: str) -> str:
        self.environment[name] = self._fresh()
        return f'{{ kind = "env", name = "{name}" }}'

    def hook(self) -> str:
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        self.values.append(secret)
        (self.folder / "hook").write_text(secret)
        return f'{{ kind = "file", name = "{self.folder / "hook"}" }}'

    def _fresh(self) -> str:
        self.values.append(canaries.fresh(len(self.values)))
        return self.values[-1]


def tables(world: Echoes, kept: Kept) -> str:
    """Everything that takes a secret, each with one of its own: twenty with those that nobody asks for."""
    written = [
        f'[providers.{name}]\nprotocol = "openai-compatible"\nbaseURL = "{world.url}/v1"\n'
        f'models = ["{name}"]\napiKeyRef = {kept.variable(f"KEY_{name.upper()}")}\n'
        for name in MODELS
    ]
    written += [
        f'[mcp_servers.{name}]\nurl = "{world.mcp_url}?how={name}"\nprivate_network = true\n'
        f'effects = {{ say_{name} = "read_only" }}\nauth = {kept.file(f"mcp-{name}")}\n'
        for name in SERVERS
    ]
    written += [
        f'[forges.{name}]\nkind = "{name}"\nurl = "{world.url}"\ntokenRef = {kept.file(f"forge-{name}")}\n'
        for name in FORGES
    ]
    place = f"127.0.0.1:{world.port}"
    return "\n".join(
        [
            *written,
            f'[mcp_servers.granted]\nurl = "{world.mcp_url}?how=granted"\nprivate_network = true',
            f'oauth = {{ issuer = "{world.url}", client_id = "us", client_secret = {kept.file("oauth")} }}',
            f'[search]\nprovider = "tavily"\nurl = "{world.url}"\napiKeyRef = {kept.file("search")}',
            f'[memory]\nurl = "{world.url}/memory"\napiKeyRef = {kept.file("memory")}',
            f'[webhook_delivery]\nallow_private = ["{place}"]',
            f'[webhooks.us]\nurl = "{world.url}/hook"\nevents = ["run.*"]\nsecretRef = {kept.hook()}',
        ]
    )


@asynccontextmanager
async def installed(
    server: TemporalServer, cache: Path, folder: Path
) -> AsyncGenerator[tuple[Stack, Echoes, Kept]]:
    async with echoing() as world:
        kept = Kept(folder / "kept")
        written = tables(world, kept)
        for name in UNUSED:
            kept.variable(name)
        assert len(kept.values) == 20
        script = '[[scenarios]]\nturns = [{ text = "x" }]\n'
        async with Stack(folder / "data", server, cache, script, more=written) as stack:
            config: Config = parse_config((stack.data / "rhone.toml").read_text(), name="rhone.toml")
            await stack.writer.commit(lambda tx: webhooks.declare(tx, config.webhooks))
            yield stack, world, kept


async def run_of(stack: Stack, model: str, calls: list[dict[str, Any]], **fields: Any) -> RunId:
    names = {call["name"] for call in calls}
    wanted: list[dict[str, Any]] = [
        *({"kind": "mcp", "server": one, "tools": [f"say_{one}"]} for one in (*SERVERS, "granted")),
        *({"kind": "tool", "name": name} for name in sorted(names & BUILT_IN)),
        {"kind": "memory", "scope": "project", "access": "read"},
    ]
    return await stack.create(json.dumps(calls), model=model, capabilities=wanted, **fields)


def said_by(server: str) -> str:
    return f"{server}__say_{server}"


async def ask_all(stack: Stack) -> None:
    """A run that asks everybody, and is told its own words by each."""
    calls: list[dict[str, Any]] = [{"name": said_by(server)} for server in SERVERS]
    calls += [
        {"name": "web_search", "arguments": {"query": "x"}},
        {"name": "memory_search_project", "arguments": {"query": "x"}},
    ]
    await settled(stack, await run_of(stack, "a", calls))


async def be_refused(stack: Stack) -> None:
    for run in (
        await run_of(stack, "refuses", []),
        await run_of(stack, "b", [], target=DEV | {"repo": {"remote": "gitea/acme/demo"}}),
        await run_of(stack, "b", [], target=DEV | {"repo": {"remote": "github/acme/demo"}}),
    ):
        told = await settled(stack, run)
        assert told[-1]["type"] == "run.failed"


async def die(stack: Stack) -> None:
    """The worker dies with an answer in its hands, and another one goes on."""
    stack.arm("after_effect", said_by("one"))
    run = await run_of(stack, "c", [{"name": said_by("one")}, {"name": said_by("two")}])
    await stack.until(run, lambda told: stack.fired("after_effect"))
    await settled(stack, run)


async def settled(stack: Stack, run: RunId) -> list[Event]:
    """To its end; what became of a lost answer is told by somebody."""
    number = 0
    while True:
        told = await stack.until(run, partial(next_of, number=number), within=120)
        if told[-1]["type"] in TERMINAL_EVENTS:
            return told
        number += 1
        checkpoint = await stack.checkpoint(run, number)
        await stack.decide(checkpoint, "answer", answer={"resolution": "succeeded"})


def next_of(told: list[Event], *, number: int) -> list[Event] | None:
    """The events, once there is another question or an end."""
    over = told[-1]["type"] in TERMINAL_EVENTS
    return told if over or len(of_type(told, "checkpoint.opened")) > number else None


async def look_into_a_box(stack: Stack, values: list[str]) -> list[str]:
    """A run that tells all that it sees in its box, and waits there while we look from outside."""
    calls = [
        {"name": "bash", "arguments": {"command": LOOK}},
        {"name": "count_non_idempotent_write", "arguments": {"note": "risky"}},
    ]
    run = await run_of(stack, "b", calls, target=DEV)
    checkpoint = await stack.checkpoint(run)
    box = await stack.box(run)
    hits = await asyncio.to_thread(lambda: canaries.found(values, canaries.of_box(box)))
    await stack.decide(checkpoint, "approve")
    await stack.ended(run)
    return hits


async def watch_arguments(values: list[str], hits: list[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        hits += await asyncio.to_thread(lambda: canaries.found(values, canaries.arguments()))
        await asyncio.sleep(0.05)


async def told_of(stack: Stack, run: RunId) -> AsyncGenerator[tuple[str, bytes]]:
    """A run as others see it: its events, its receipt, its history."""
    yield f"the events of {run}", json.dumps(await stack.events(run)).encode()
    record = await stack.record(run)
    query = ReceiptQuery(partial=True)
    bundle = await stack.read(lambda c: bundle_of(c, record.run, record.tenant.project_id, query))
    assert not [fault for fault in verify(canonical(bundle)).faults if fault.where != "head"]
    yield f"the receipt of {run}", canonical(bundle)
    history = await stack.handle(run).fetch_history()
    for event in history.events:
        yield f"the history of {run}", event.SerializeToString()


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.soak)])
async def test_no_secret_is_anywhere_after_runs_that_were_told_all_of_them(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path, rounds: int
) -> None:
    async with installed(temporal_server, cache, tmp_path) as (stack, world, kept):
        environment = kept.environment | {"RHONE_OTLP_ENDPOINT": world.url}
        await stack.start_worker(**environment)
        hits: list[str] = []
        stop = asyncio.Event()
        watching = asyncio.create_task(watch_arguments(kept.values, hits, stop))
        for _ in range(rounds):
            dying = asyncio.create_task(die(stack))
            await until_it_is_dead(stack, lambda task=dying: task.done())
            await stack.start_worker(**environment)
            await asyncio.gather(dying, ask_all(stack), be_refused(stack))
            hits += await look_into_a_box(stack, kept.values)
        stop.set()
        await watching
        await assert_standing_invariants(stack, stack.runs)
        for run in stack.runs:
            hits += canaries.found(kept.values, [one async for one in told_of(stack, run)])
        await stack.workers[-1].stop()
        hits += canaries.found(kept.values, canaries.files(stack.data))
        hits += canaries.found(kept.values, [("the traces", b"".join(world.traces))])
        hits += canaries.found(kept.values, [("what webhooks are told", b"".join(world.told))])
        assert world.traces
        assert world.told
        sent = " ".join(world.asked)
        echoed = [value for value in kept.values if value in sent or base64_of(value) in sent]
        assert len(echoed) >= 12
        assert sorted(set(hits)) == []


async def until_it_is_dead(stack: Stack, given_up: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not stack.workers[-1].ended and not given_up():
            await asyncio.sleep(0.05)


def base64_of(value: str) -> str:
    return base64.b64encode(f"x-access-token:{value}".encode()).decode()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    import gzip

    value = canaries.fresh(0)
    for how, form in canaries.spellings(value):
        assert canaries.found([value], [("x", b"before " + form + b" after")]), how
    assert canaries.found([value], [("x", b"before" + gzip.compress(value.encode()))])
    assert canaries.found([value], [("x", b"before" + value[:-1].encode())]) == []
