"""The rules that would hold for a run, asked before it is made; whoever resolves it asks them again."""

from sqlalchemy import Connection

from capabilities.placing import placing, refusals, spending
from capabilities.policy_layers import Layers
from capabilities.verdict import Asker
from gateway.admission import Admitted
from protocol.errors import Forbidden
from protocol.principal import Caller
from protocol.session import Session
from providers.registry import Registry
from records import principals, project_policies


class Rules:
    """What the installation says, tightened by each project."""

    def __init__(self, layers: Layers, registry: Registry) -> None:
        self._layers = layers
        self._registry = registry

    def check(self, connection: Connection, caller: Caller, session: Session, asked: Admitted) -> None:
        """Raises Forbidden for a place or a model that the caller may not use, with field and rule."""
        tenant, target = caller.tenant, asked.request.target
        holding = project_policies.holding(connection, tenant)
        policy = self._layers.over([(one.name, one.text) for one in holding])
        roles = principals.roles_of(connection, caller.principal_id)
        asker = Asker(id=caller.principal_id, roles=roles, project=tenant.project_id)
        model = self._registry.resolve(asked.model)
        spent = spending(asker, model.name, asked.limits, host=model.host, actor=session.actor_id)
        placed = [placing(asker, target, actor=session.actor_id)] if target else []
        for denial in refusals(policy, [spent, *placed]):
            field = "model" if denial.kind == "spend" else "target.name"
            message = f"{field}: the rule {denial.rule!r} refuses it: {denial.reason}"
            raise Forbidden("policy.denied", message, param=field, details={"rule": denial.rule})
