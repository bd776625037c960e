"""How the worker is put together: records, hosts, providers, and the bodies behind the ports."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from capabilities.catalogue import Catalogue
from capabilities.catalogue_web import without_search
from capabilities.counting import counting_definitions
from capabilities.labels import LabelTable
from capabilities.policy import Policy, shipped
from capabilities.signing import Signer, TrustedKey, former_keys
from capabilities.spawn import SPAWN, without_subruns
from protocol.config import Config, TargetEntry
from protocol.config_text import parse_config
from protocol.errors import Fault, InvalidRequest, TargetUnavailable
from protocol.ids import fresh
from protocol.memory import MemoryStore
from protocol.target import BoxSpec
from providers.mcp.servers import Servers
from providers.memory_http import HttpMemory
from providers.registry import Registry
from records import traces
from records.bus import bus_for
from records.database import Database
from records.hints import SOME_RUN
from records.keys import pepper_in
from records.logs import logger
from records.memory import Memories
from records.seal import Seal
from records.secrets import Secrets
from records.writer import Writer
from targets.agent_binary import agent_path
from targets.docker import DockerHost
from targets.forge.forges import Forges
from targets.images import resolve_image
from targets.memory import CountingTools
from worker.act import Act
from worker.asking import Asking
from worker.boxes import Boxes
from worker.counting_acts import Counting
from worker.courier import Courier
from worker.egress.control import open_door
from worker.egress_source import EgressSource
from worker.failpoints import Failpoints
from worker.faults import discreet
from worker.gatekeeper import Gatekeeper
from worker.heads import Heads
from worker.inflight import InFlight
from worker.known_runs import KnownRuns
from worker.looks import Looks
from worker.mcp_accounts import run_accounts
from worker.mcp_boxes import McpBoxes, McpKeeper
from worker.mcp_source import McpSource
from worker.memory_source import MemorySource
from worker.model_calls import ModelCalls
from worker.notary import Notary
from worker.places import Places
from worker.plans import Plans
from worker.reaper import COLLECTING_S, Reaper
from worker.rounds import Rounds
from worker.run_gate import RunGate
from worker.runs import Authority, Runs
from worker.safety import Safety
from worker.settings import Settings
from worker.shadow import Shadow
from worker.skill_source import SkillSource
from worker.sources import Sources
from worker.spending import Spending
from worker.subruns import Spawning
from worker.sweeper import Sweeper
from worker.tool_calls import ToolCalls
from worker.vault_source import VaultSource
from worker.vaults import Vaults
from worker.web_acts import web_acts
from worker.workbench import Workbench
from workflows.look import LookWorkflow
from workflows.run import RunWorkflow
from workflows.signatures import DEPLOYMENT, WORKER_QUEUE, holder_queue, host_queue

DRAIN = timedelta(seconds=3)
CONNECT_SECONDS = 30.0
ENGINE_LOOK_S = 5.0
UNVERSIONED = "unversioned"
"""What would stand here else is a hash over all loaded code, which takes half a second of each start."""

log = logger(__name__)


async def run_worker(settings: Settings, secrets: Secrets, stop: asyncio.Event) -> None:
    """Everything between the settings and the first poll; returns when `stop` is set and all is drained."""
    close_traces = traces.configure("worker", settings.otlp_endpoint)
    config = read_config(settings.config)
    base_dir = settings.config.parent if settings.config else settings.data
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, close_traces)
        database = Database.open(settings.records_url, settings.data / "blobs")
        stack.callback(database.close)
        hints = bus_for(settings.records_url, settings.data / "hints")
        await hints.start()
        stack.push_async_callback(hints.close)
        writer = Writer(database, hints)
        stack.callback(writer.close)
        registry = Registry(config, secrets.resolve, base_dir)
        stack.push_async_callback(registry.close)
        host = DockerHost(
            agent_path(settings.cache_dir),
            pool_size=config.workspaces.pool_size,
            label=settings.installation or installation(settings.data),
            engine=settings.docker_host,
        )
        stack.push_async_callback(host.close)
        client = await connect(settings, secrets.redact)
        inflight = InFlight(settings.data / "worker", database, hints)
        inflight.open()
        parts = Parts(settings, config, secrets, base_dir, database, writer, registry, host, inflight)
        stack.push_async_callback(parts.mcp.close)
        failed = await inflight.fail_predecessors(client)
        if failed:
            log.info("failed the activities of dead workers", count=failed)
        host_worker = asyncio.create_task(parts.serve_host(client))
        behind = [
            host_worker,
            asyncio.create_task(parts.serve_sessions(client)),
            *(asyncio.create_task(each.go(hints)) for each in parts.rounds(client)),
        ]
        async with parts.main_worker(client):
            log.info("ready", queue=WORKER_QUEUE)
            (settings.data / "worker.ready").write_text("ready\n")
            await stop.wait()
            log.info("draining")
        for task in behind:
            task.cancel()
        await asyncio.gather(*behind, return_exceptions=True)


class Parts:
    """The bodies of the ports, and the workers that poll for them."""

    def __init__(
        self,
        settings: Settings,
        config: Config,
        secrets: Secrets,
        base_dir: Path,
        database: Database,
        writer: Writer,
        registry: Registry,
        host: DockerHost,
        inflight: InFlight,
    ) -> None:
        self._settings = settings
        self._database, self._writer = database, writer
        self._host = host
        self._targets = tuple(config.targets.values())
        counting = _counting(config, base_dir)
        absent = {**({} if config.search else without_search()), **without_subruns(config.subruns)}
        catalogue = Catalogue(counting_definitions() if counting else (), absent)
        spawning = Spawning(database, writer, lambda model: registry.resolve(model).priced)
        self.mcp = Servers(
            config.mcp_servers,
            secrets.resolve,
            McpBoxes(database, host, secrets.resolve).launch,
            run_accounts(config.mcp_servers, secrets, settings.data, database, writer),
        )
        memory = MemorySource(_memory(config, secrets, database, writer), database)
        places = Places(database, host)
        vaults = VaultSource(Vaults(config.vaults, base_dir, settings.data, self.mcp), catalogue)
        skill_source = SkillSource(database, writer, places, catalogue)
        egress = EgressSource(config.egress)
        kinds = [McpSource(self.mcp, writer), memory, skill_source, vaults, egress]
        sources = Sources(catalogue, kinds, secrets.redact)
        policy = policy_of(config.policies.files, base_dir)
        candidate = policy_of(config.policies.shadow, base_dir) if config.policies.shadow else None
        shadow = Shadow(database, writer, candidate)
        signer = Signer(secrets.resolve(config.signing.keyRef).encode())
        self.notary = Notary(database, writer, signer)
        self.courier = Courier(
            database, writer, secrets.resolve, Seal(pepper_in(settings.data)), config.webhook_delivery
        )
        trusted = {signer.key_id: TrustedKey(signer.public_key), **former_keys(config.signing.former)}
        known, heads = KnownRuns(database, trusted), Heads(database)
        forges = Forges(config.forges, secrets.resolve, settings.data, allow_file=settings.forge_allow_file)
        workbench = Workbench(
            places,
            forges,
            database,
            writer,
            {**web_acts(config, secrets.resolve, base_dir), **counting, SPAWN: spawning},
            {name: entry.env for name, entry in config.targets.items()},
            sources,
        )
        labels = LabelTable(config.labels)
        safety = Safety(database, writer, config.safety_profiles, secrets.redact)
        gatekeeper = Gatekeeper(database, sources, policy, shadow)
        failpoints = Failpoints(settings.failpoints)
        asking = Asking(writer, config.checkpoints.expires_in_s)

        def entry(name: str) -> TargetEntry:
            found = config.targets.get(name)
            if found is None:
                raise InvalidRequest("target.unknown", f"there is no target {name!r}", param="target.name")
            return found

        plans = Plans(forges, entry, secrets.redact)
        self.runs = Runs(
            database,
            writer,
            known,
            heads,
            inflight,
            forges,
            plans,
            Authority(sources, policy, shadow, signer, safety, registry, gatekeeper.policy, config.subruns),
            config.workspaces.idle_release_s,
        )
        self.looks = Looks(database, known, forges)
        gate = RunGate(writer, gatekeeper.policy)
        budgets = Spending(database, gate, config.budgets, config.checkpoints.expires_in_s)
        self.models = ModelCalls(
            database, writer, known, heads, registry, budgets, safety, inflight, failpoints
        )
        self.tools = ToolCalls(
            writer, known, gatekeeper, workbench, inflight, asking, labels, safety, spawning, failpoints
        )

        door = partial(open_door, settings.data)
        self.boxes = Boxes(database, writer, known, places, inflight, host, gate, forges, entry, door, plans)

    def main_worker(self, client: Client) -> Worker:
        """Workflows, and everything that needs no box."""
        runs, tools = self.runs, self.tools
        return Worker(
            client,
            task_queue=WORKER_QUEUE,
            workflows=[RunWorkflow, LookWorkflow],
            activities=[
                *(runs.open, runs.take_up, runs.end, runs.listen, runs.pause, runs.resume),
                runs.expire,
                *(self.models.call, tools.act, tools.redeem, self.boxes.materialize, self.looks.look),
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
            workflow_failure_exception_types=[Exception],
            max_cached_workflows=self._settings.worker_workflow_cache,
            max_concurrent_activities=self._settings.worker_activities,
            max_eager_activity_reservations_per_workflow_task=20,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=0.5),
            build_id=None if self._settings.worker_build_id else UNVERSIONED,
            graceful_shutdown_timeout=DRAIN,
            deployment_config=_deployment(self._settings.worker_build_id),
        )

    async def serve_host(self, client: Client) -> None:
        """Poll the queue of this Docker host from when it is there, boxes warm; until cancelled."""
        while True:
            try:
                await self._host.check()
                break
            except TargetUnavailable as fault:
                log.warning("no Docker host here; workspaces have to wait", reason=fault.message)
                await asyncio.sleep(ENGINE_LOOK_S)
        worker = Worker(
            client,
            task_queue=host_queue(self._host.name),
            activities=[self.tools.act, self.tools.redeem, self.boxes.save_tree, self.boxes.release],
            build_id=UNVERSIONED,
            max_concurrent_activities=self._settings.worker_activities,
            graceful_shutdown_timeout=DRAIN,
        )
        async with worker:
            log.info("ready", queue=host_queue(self._host.name))
            await self._warm()
            await asyncio.Event().wait()

    async def serve_sessions(self, client: Client) -> None:
        """Poll for what goes on in sessions that this process has open, where it may have any; until
        cancelled."""
        if not self.mcp.declared:
            return
        worker = Worker(
            client,
            task_queue=holder_queue(self.mcp.holder),
            activities=[self.tools.act, self.tools.redeem],
            build_id=UNVERSIONED,
            max_concurrent_activities=self._settings.worker_activities,
            graceful_shutdown_timeout=DRAIN,
        )
        async with worker:
            await asyncio.Event().wait()

    def rounds(self, client: Client) -> list[Rounds]:
        """What is done again and again behind the ports."""
        settings, database, writer = self._settings, self._database, self._writer
        sweeper = Sweeper(database, writer, client, settings.sweep_seconds)
        reaper = Reaper(database, writer, self._host, settings.reap_seconds)
        return [
            Rounds("sign receipts", self.notary.turn, topic=("unsealed", SOME_RUN)),
            Rounds("tell webhooks", self.courier.turn, topic=("outbox", SOME_RUN)),
            Rounds("sweep", sweeper.turn, settings.sweep_seconds),
            Rounds("reap", reaper.turn, settings.reap_seconds),
            Rounds("collect", reaper.collect, COLLECTING_S),
            Rounds("end MCP sessions", McpKeeper(database, self.mcp, settings.reap_seconds).turn),
        ]

    async def _warm(self) -> None:
        for entry in self._targets:
            if entry.of_repository:
                continue
            spec = BoxSpec(image=resolve_image(entry.image), limits=entry.limits, runtime=entry.runtime)
            try:
                await self._host.warm(spec)
            except Fault as fault:
                log.warning("no warm boxes for a target", image=entry.image, reason=fault.message)


def read_config(path: Path | None) -> Config:
    return parse_config(path.read_text(), name=str(path.name)) if path is not None else Config()


def policy_of(files: tuple[str, ...], base_dir: Path) -> Policy:
    """The shipped rules, and over them those of the installation."""
    own = [(name, (base_dir / name).read_text()) for name in files]
    return Policy.load([shipped(), *own])


async def connect(settings: Settings, redact: Callable[[str], str]) -> Client:
    """The engine may come up after us; wait for it a while."""
    converter = replace(pydantic_data_converter, failure_converter_class=discreet(redact))
    async with asyncio.timeout(CONNECT_SECONDS):
        while True:
            try:
                return await Client.connect(
                    settings.temporal_address,
                    namespace=settings.temporal_namespace,
                    data_converter=converter,
                )
            except (RuntimeError, RPCError):
                await asyncio.sleep(0.05)


def installation(data: Path) -> str:
    """A name that tells this installation's containers from others on the same engine."""
    path = data / "installation"
    if not path.exists():
        path.write_text(fresh("req_").removeprefix("req_"))
    return path.read_text().strip()


def _memory(config: Config, secrets: Secrets, database: Database, writer: Writer) -> MemoryStore:
    entry = config.memory
    if entry is None:
        return Memories(database, writer)
    return HttpMemory(entry.url, lambda: secrets.resolve(entry.apiKeyRef))


def _counting(config: Config, base_dir: Path) -> dict[str, Act]:
    if config.counting_tools is None:
        return {}
    counting = Counting(CountingTools(base_dir / config.counting_tools))
    return {definition.name: counting for definition in counting_definitions()}


def _deployment(build_id: str | None) -> WorkerDeploymentConfig | None:
    if build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=DEPLOYMENT, build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
