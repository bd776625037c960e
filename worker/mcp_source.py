"""MCP servers as a source of capabilities: what they list is offered, and called through the gate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

from capabilities.elicitation import shown as shown_question
from capabilities.elicitation import subject_of, with_defaults
from capabilities.mcp import LISTED, flagged, identity_of, model_name, offer_of, raw_digest, twin_of
from capabilities.offer import Missing, Offer, Offered
from protocol.capability import Capability, Grant, McpCapability, ToolCapability
from protocol.checkpoint import Checkpoint
from protocol.digest import digest_bytes
from protocol.errors import Refused, Unavailable
from protocol.ids import RunId
from protocol.mcp import ELICITATION, Answer, Asks, Exchange, Listed, Lost, NotDone, Reply, Said, Unsent
from protocol.noun import JSONObject
from protocol.tool import ToolSource
from providers.mcp.servers import Servers
from records import snapshots
from records.run_record import RunRecord
from records.tx import Tx
from records.writer import Writer
from worker.act import Act, Doing, Inquiry, Prepared, Result, failure
from worker.known_runs import KnownRun
from worker.mcp_results import shown
from worker.untrusted import framed

if TYPE_CHECKING:
    from providers.mcp.connection import Connection

TRIES = 4
"""How often a call that may be repeated is sent; each time with the same key."""

SESSIONS = 32
"""In how many sessions, one after the other, a call is tried that none of them took."""

HELD_MS = 3_600_000
"""How long a server that waits in its session is left waiting for a person."""


class McpSource:
    """The tools, resources and prompts that a run asks for by name, each of a declared server."""

    kinds = frozenset({"mcp"})
    serves: ToolSource = "mcp"

    def __init__(self, servers: Servers, writer: Writer) -> None:
        self._servers = servers
        self._writer = writer

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        assert isinstance(capability, McpCapability)
        return await offered(self._servers, record, capability)

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        """None where another server stands at the name now, or lists the tool no more. Where none answers,
        the pinned one: such a call fails when it is prepared, before anything is sent."""
        try:
            return await current_digest(self._servers, known.record.run.id, grant)
        except (Refused, Unavailable):
            return grant.definition_digest

    def act(self, known: KnownRun, grant: Grant) -> Act:
        return McpCall(self._servers, self._writer, known)


async def offered(servers: Servers, record: RunRecord, capability: McpCapability) -> Offered:
    """What a run can be granted of a server. One that does not answer, or whose secret is not there, offers
    nothing: the run goes on without it, and says so."""
    server, asked = capability.server, _asked(capability)
    others = _others(record.request.capabilities, server)
    found: list[Offer | Missing] = []
    try:
        entry = servers.entry(server)
        for kind, names in asked.items():
            connection = await servers.connection(record.run.id, server)
            listed = await connection.listing(kind)
            identity = identity_of(server, entry, connection.facts.protocol_version)
            for name in names:
                offer = offer_of(kind, server, entry, identity, name, listed.get(name))
                found.append(flagged(offer, twin_of(name, others)) if kind == "tools" else offer)
    except (Refused, Unavailable) as fault:
        return tuple(
            Missing(name=model_name(kind, server, name), rule=fault.code, reason=fault.message)
            for kind, names in asked.items()
            for name in names
        )
    return tuple(found)


async def current_digest(servers: Servers, run_id: RunId, grant: Grant) -> str | None:
    """Raises Unavailable."""
    server = grant.attributes["server"]
    try:
        entry = servers.entry(server)
    except Refused:
        return None
    connection = await servers.connection(run_id, server)
    if identity_of(server, entry, connection.facts.protocol_version) != grant.source_identity:
        return None
    raw = (await connection.listing(LISTED[grant.kind])).get(grant.attributes["tool"])
    return None if raw is None else raw_digest(raw)


class McpCall:
    """One call of a server's tool. What was prepared is sent under the definition that was decided upon."""

    def __init__(self, servers: Servers, writer: Writer, known: KnownRun) -> None:
        self._servers = servers
        self._writer = writer
        self._known = known

    async def prepare(self, doing: Doing) -> Prepared:
        await self._agreed(doing)
        return Prepared(environment=(doing.grant.source_identity,))

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result | Inquiry:
        """A call whose answer is lost is sent again only where that does no harm."""
        exchange = _exchange(prepared)
        server = doing.grant.attributes["server"]
        once = doing.execution.effect in ("non_idempotent_write", "unknown")
        connection, answer = await self._made(doing, exchange, once=once)
        for _ in range(SESSIONS - 1):
            if not isinstance(answer, Unsent):
                break
            connection, answer = await self._made(doing, exchange, once=once)
        match answer:
            case Said():
                return _told(doing, connection, answer)
            case NotDone(reason=reason):
                return failure(f"mcp.refused: {server}: {reason[:1_000]}")
            case Asks(exchange=asked):
                held = {"holder": self._servers.holder if doing.key in connection.parked else None}
                kept = _kept(prepared, asked.model_copy(update=held))
                return self.inquiry(doing, kept) or failure(f"mcp.refused: {server}: it asks for nothing")
            case Unsent(reason=reason) if once:
                return failure(f"mcp.unreachable: {server}: {reason[:300]}; nothing was sent")
            case Lost(reason=reason) | Unsent(reason=reason):
                tries = attempt - sum(one.reply is not None for one in exchange.asked)
                if once or tries < TRIES:
                    raise Unavailable("mcp.answer_lost", f"{server}: {reason[:300]}")
                text = f"mcp.answer_lost: {server}: {reason[:300]} ({attempt} tries)"
                outcome = "failed" if doing.execution.effect == "read_only" else "unknown"
                return Result(text=text, is_error=True, outcome=outcome)
            case _:
                assert_never(answer)

    async def _made(self, doing: Doing, exchange: Exchange, *, once: bool) -> "tuple[Connection, Answer]":
        """The call in a session that is open, and what came of it there."""
        server, tool = doing.grant.attributes["server"], doing.grant.attributes["tool"]
        if self._is_parked(doing):
            connection = await self._servers.connection(self._known.record.run.id, server)
        else:
            connection = await self._agreed(doing)
            if exchange.holder is not None and once:
                raise Unavailable("mcp.answer_lost", f"{server}: the session ended in which it waited")
        kind, arguments = LISTED[doing.grant.kind], doing.execution.arguments
        answer = await connection.call(
            *(kind, tool, arguments), key=doing.key, seconds=doing.timeout_ms / 1000, exchange=exchange
        )
        return connection, answer

    # what the server asks in the middle of the call

    def told(self, prepared: Prepared, checkpoint: Checkpoint) -> Prepared | None:
        exchange = _exchange(prepared)
        if exchange.pending is None:
            return None
        return _kept(prepared, exchange.told(_reply(checkpoint)))

    def inquiry(self, doing: Doing, prepared: Prepared) -> Inquiry | None:
        exchange = _exchange(prepared)
        question = exchange.pending
        if question is None:
            return None
        server, tool = doing.grant.attributes["server"], doing.grant.attributes["tool"]
        return Inquiry(
            rule=ELICITATION,
            rendered=shown_question(server, tool, question),
            subject=subject_of(server, tool, question),
            prepared=prepared,
            expires_in_ms=HELD_MS if exchange.holder is not None else None,
        )

    def goes_on(self, doing: Doing, prepared: Prepared) -> bool:
        return _exchange(prepared).holder is None or self._is_parked(doing)

    def held_by(self, prepared: Prepared) -> str | None:
        holder = _exchange(prepared).holder
        return holder if holder != self._servers.holder else None

    def anew(self, prepared: Prepared) -> Prepared:
        return prepared.model_copy(update={"kept": {}})

    def _is_parked(self, doing: Doing) -> bool:
        run_id, server = self._known.record.run.id, doing.grant.attributes["server"]
        return (run_id, server, doing.key) in self._servers.parked

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        """The protocol has no way to ask what became of a call."""
        return None

    async def halt(self, doing: Doing) -> None:
        """Who waited is gone, and the session has told the server so."""

    async def _agreed(self, doing: Doing) -> "Connection":
        """The session to act in, if the definition in it is still the one that was decided upon."""
        grant, run_id = doing.grant, self._known.record.run.id
        server = grant.attributes["server"]
        try:
            now = await current_digest(self._servers, run_id, grant)
            connection = await self._servers.connection(run_id, server)
        except Unavailable as fault:
            raise Refused(fault.code, f"{fault.message}; nothing was sent") from fault
        if now != doing.definition_digest:
            raise Refused(
                "mcp.drift", f"the definition of {grant.name!r} changed under the call; nothing was sent"
            )
        if not connection.evident:
            connection.evident = True
            await self._keep_evidence(server, connection, doing)
        return connection

    async def _keep_evidence(self, server: str, connection: "Connection", doing: Doing) -> None:
        listed = await connection.listing(LISTED[doing.grant.kind])
        facts = connection.facts
        body: JSONObject = {
            "server": server,
            "source_identity": doing.grant.source_identity,
            "protocol_version": facts.protocol_version,
            "server_info": facts.info,
            **({"box": connection.box} if connection.box else {}),
            "definitions": {name: raw_digest(raw) for name, raw in listed.items()},
            "flags": {
                grant.name: grant.attributes["flags"]
                for grant in self._known.snapshot.document.grants
                if grant.attributes.get("server") == server and "flags" in grant.attributes
            },
        }

        def unit(tx: Tx) -> None:
            snapshots.add_evidence(tx, self._known.snapshot.id, "mcp_server", body)

        await self._writer.commit(unit, runs=[self._known.record.run.id])


def _exchange(prepared: Prepared) -> Exchange:
    return Exchange.model_validate(prepared.kept.get("exchange") or {})


def _kept(prepared: Prepared, exchange: Exchange) -> Prepared:
    return prepared.model_copy(update={"kept": {"exchange": exchange.model_dump(mode="json")}})


def _reply(checkpoint: Checkpoint) -> Reply:
    """What the server is told of a decision."""
    match checkpoint.status:
        case "answered":
            given = [one.answer for one in checkpoint.decisions if one.decision == "answer"]
            content = with_defaults(checkpoint.arguments or {}, given[-1] if given else None)
            return Reply(action="accept", content=content)
        case "denied":
            return Reply(action="decline")
        case _:
            return Reply(action="cancel")


def _asked(capability: McpCapability) -> dict[Listed, tuple[str, ...]]:
    """The names of each kind, each once."""
    asked: dict[Listed, tuple[str, ...]] = {
        "tools": capability.tools,
        "resources": capability.resources,
        "prompts": capability.prompts,
    }
    return {kind: tuple(dict.fromkeys(names)) for kind, names in asked.items() if names}


def _others(capabilities: Sequence[Capability], server: str) -> tuple[str, ...]:
    """The names of everything that the run asks for elsewhere."""
    tools = [one.name for one in capabilities if isinstance(one, ToolCapability)]
    for one in capabilities:
        if isinstance(one, McpCapability) and one.server != server:
            tools += one.tools
    return tuple(tools)


def _told(doing: Doing, connection: "Connection", said: Said) -> Result:
    server, tool = doing.grant.attributes["server"], doing.grant.attributes["tool"]
    return Result(
        text=framed(f"{tool!r} of the MCP server {server!r}", shown(said)),
        is_error=said.is_error,
        outcome="failed" if said.is_error else "succeeded",
        effect={
            "kind": "mcp",
            "server": server,
            "tool": tool,
            "source_identity": doing.grant.source_identity,
            "definition_digest": doing.definition_digest,
            "result_digest": digest_bytes(said.model_dump_json().encode()),
            "labels": ["untrusted"],
        },
    )
