"""Egress as a source of capabilities: rules for a box, one grant each, and no tool of its own."""

from capabilities.egress import effect_of, rules_of, title
from capabilities.offer import Missing, Offer, Offered
from protocol.capability import Capability, EgressCapability, Grant
from protocol.digest import digest
from protocol.egress import EgressEntry, EgressRule, GrantedEgress
from protocol.errors import Refused
from protocol.tool import ToolDefinition, ToolSource
from records.run_record import RunRecord
from worker.act import Act
from worker.known_runs import KnownRun


class EgressSource:
    """What the proxy of this installation lets through; without an `[egress]` there is none."""

    kinds = frozenset({"egress"})
    serves: ToolSource = "egress"

    def __init__(self, entry: EgressEntry | None) -> None:
        self._entry = entry

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        assert isinstance(capability, EgressCapability)
        bundle, entry = capability.bundle, self._entry
        rules = capability.rules if bundle is None else rules_of(bundle, entry or EgressEntry())
        if rules is None:
            reason = f"there is no egress bundle {bundle!r}"
            return (Missing(name=f"egress:{bundle}", rule="egress.unknown_bundle", reason=reason),)
        if entry is None:
            reason = "there is no [egress] in the configuration, so there is no proxy"
            return tuple(
                Missing(name=title(rule), rule="egress.not_configured", reason=reason) for rule in rules
            )
        return tuple(_offer(rule, entry, bundle) for rule in rules)

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        return grant.definition_digest

    def act(self, known: KnownRun, grant: Grant) -> Act:
        raise Refused("tool.no_body", f"{grant.name!r} is a way out of the box, not a tool")


def _offer(rule: EgressRule, entry: EgressEntry, bundle: str | None) -> Offer | Missing:
    binding = None
    if rule.credential is not None:
        declared = entry.credentials.get(rule.credential)
        if declared is None or (declared.host, declared.port) != (rule.host, rule.at):
            reason = f"there is no egress credential {rule.credential!r} for {rule.host}:{rule.at}"
            return Missing(name=title(rule), rule="egress.unknown_credential", reason=reason)
        binding = declared.bound(rule.credential)
    pinned = GrantedEgress(rule=rule, binding=binding).model_dump(mode="json", exclude_none=True)
    definition = ToolDefinition(
        name=title(rule),
        description=f"Requests from the box to {rule.host}, through the proxy.",
        input_schema={"type": "object"},
        source="egress",
        effect=effect_of(rule),
    )
    return Offer(
        kind="egress",
        name=definition.name,
        source_identity=f"rhone:egress/{bundle}" if bundle else "rhone:egress",
        definition=definition,
        digest=digest(pinned),
        attributes={"host": rule.host, **({"credential": rule.credential} if rule.credential else {})},
        argument_constraints=pinned,
        hosts=(rule.host,),
    )
