"""The door: what could never run is refused before anything is made, with the field that asks for it."""

from collections.abc import Sequence

from capabilities.arguments import schema_fault
from capabilities.branch import branch_fault, default_branch, name_fault
from capabilities.catalogue import Catalogue
from capabilities.egress import check_egress
from capabilities.mcp import check_servers
from capabilities.request import check_request
from capabilities.resources import check_vaults
from capabilities.safety import effective
from protocol.block import AssetPart, InputDraft
from protocol.budget import Budget
from protocol.config import Config
from protocol.errors import Forbidden, InvalidRequest
from protocol.ids import RunId
from protocol.noun import Noun
from protocol.run import HarnessChoice, Limits, LimitsPatch, RepositoryChoice, RunRequest, TargetChoice
from protocol.session import SessionDefaults
from providers.registry import Registry

DEFAULT_ALIAS = "default"
"""The alias that a run without a model gets, where one is declared."""


class Admitted(Noun):
    """A request that can be tried: its model by full name, its branch chosen, its limits complete."""

    request: RunRequest
    model: str
    limits: Limits


class Admission:
    """Knows everything that a run may name."""

    def __init__(self, config: Config, registry: Registry, catalogue: Catalogue) -> None:
        self._config = config
        self._registry = registry
        self._catalogue = catalogue

    def admit(self, request: RunRequest, defaults: SessionDefaults, run_id: RunId) -> Admitted:
        _refuse_unbuilt(request)
        profile = request.safety.profile
        if effective(profile, self._config.safety_profiles) is None:
            message = f"safety.profile: there is no safety profile {profile!r}"
            raise InvalidRequest("safety.unknown_profile", message, param="safety.profile")
        model = self._model(request, defaults)
        check_request(request.capabilities, request.tools, self._catalogue)
        check_servers(request.capabilities, self._config.mcp_servers)
        check_vaults(request.capabilities, self._config.vaults)
        check_egress(request.capabilities, self._config.egress)
        limits = merged(Limits(), defaults.limits, request.limits)
        self.check_cost(model, limits)
        target = self._target(request.target, run_id) if request.target else None
        complete = request.model_copy(update={"model": model, "routing": None, "target": target})
        return Admitted(request=complete, model=model, limits=limits)

    def check_cost(self, model: str, limits: Limits) -> None:
        if limits.max_cost_usd and not self._registry.resolve(model).priced:
            message = f"limits.max_cost_usd: the model {model!r} has no known price"
            raise InvalidRequest("model.unpriced", message, param="limits.max_cost_usd")

    def check_price(self, model: str, budgets: Sequence[Budget]) -> None:
        """A model without a price cannot be counted in dollars."""
        counting = next((budget for budget in budgets if budget.max_cost_usd is not None), None)
        if counting is not None and not self._registry.resolve(model).priced:
            message = (
                f"model: {model!r} has no known price, and the budget {counting.name!r} counts US dollars"
            )
            raise InvalidRequest("model.unpriced", message, param="model")

    def check_model(self, name: str, param: str) -> None:
        try:
            self._registry.resolve(name)
        except InvalidRequest as error:
            raise InvalidRequest(error.code, f"{param}: {error.message}", param=param) from error

    def _model(self, request: RunRequest, defaults: SessionDefaults) -> str:
        """The name as it was asked for: an alias is resolved when the run calls it."""
        if request.routing is not None:
            name, param = request.routing.model, "routing.model"
        else:
            fallback = DEFAULT_ALIAS if DEFAULT_ALIAS in self._config.aliases else None
            name, param = request.model or defaults.model or fallback, "model"
        if name is None:
            message = (
                "model: the request names none, the session has no default and there is no alias 'default'"
            )
            raise InvalidRequest("model.missing", message, param=param)
        self.check_model(name, param)
        return name

    def _target(self, target: TargetChoice, run_id: RunId) -> TargetChoice:
        declared = self._config.targets.get(target.name)
        if declared is None:
            names = ", ".join(sorted(self._config.targets)) or "none"
            message = f"target.name: there is no target {target.name!r}; declared are: {names}"
            raise InvalidRequest("target.unknown", message, param="target.name")
        if declared.kind != target.kind:
            message = f"target.kind: the target {target.name!r} is a {declared.kind}, not a {target.kind}"
            raise InvalidRequest("target.kind_mismatch", message, param="target.kind")
        if target.repo is None:
            return target
        return target.model_copy(update={"repo": self._repository(target.repo, run_id)})

    def _repository(self, repo: RepositoryChoice, run_id: RunId) -> RepositoryChoice:
        name, *rest = repo.remote.split("/")
        forge = self._config.forges.get(name)
        field = "target.repo.remote"
        if forge is None:
            raise InvalidRequest("git.unknown_forge", f"{field}: there is no forge {name!r}", param=field)
        if len(rest) == 1 and forge.owner is None:
            message = f"{field}: the forge {name!r} has no default owner: write {name}/owner/{rest[0]}"
            raise InvalidRequest("git.remote_incomplete", message, param=field)
        if any(part in (".", "..") or part.startswith("-") for part in rest):
            raise InvalidRequest("git.remote_invalid", f"{field}: {repo.remote!r} is no remote", param=field)
        fault = name_fault(repo.base)
        if fault is not None:
            raise InvalidRequest("git.branch_invalid", f"target.repo.base: {fault}", param="target.repo.base")
        branch = repo.branch or default_branch(run_id)
        fault = branch_fault(branch, base=repo.base)
        if fault is not None:
            field = "target.repo.branch"
            raise InvalidRequest("git.branch_invalid", f"{field}: {fault}", param=field)
        return repo.model_copy(update={"branch": branch})


def merged(limits: Limits, *patches: LimitsPatch | None) -> Limits:
    """The limits with each patch's own words over them."""
    for patch in patches:
        if patch is not None:
            limits = limits.model_copy(update=patch.model_dump(exclude_none=True))
    return limits


def refuse_assets(blocks: Sequence[InputDraft] | None, field: str) -> None:
    for index, block in enumerate(blocks or ()):
        for place, part in enumerate(block.content):
            source = getattr(part, "source", None)
            if isinstance(part, AssetPart) or getattr(source, "type", None) == "asset":
                raise _unsupported(f"{field}[{index}].content[{place}]", "assets")


def _refuse_unbuilt(request: RunRequest) -> None:
    """What the API names and this product does not have yet."""
    if request.agent is not None:
        raise _unsupported("agent", "declared agents")
    if request.targets is not None:
        raise _unsupported("targets", "several targets")
    if request.harness != HarnessChoice():
        place = f"{request.harness.placement}/{request.harness.name}"
        field = "harness.placement" if request.harness.placement != "hosted" else "harness.name"
        raise _unsupported(field, f"the harness {place}")
    if request.target is not None and request.target.kind != "workspace":
        raise _unsupported("target.kind", f"targets of the kind {request.target.kind!r}")
    if request.safety.mode != "enforce":
        message = f"safety.mode: a request can only tighten; {request.safety.mode!r} would loosen"
        raise Forbidden("policy.loosens", message, param="safety.mode")
    refuse_assets(request.blocks, "blocks")
    fault = schema_fault(request.output.json_schema) if request.output else None
    if fault is not None:
        field = "output.json_schema"
        raise InvalidRequest("request.invalid_field", f"{field}: {fault}", param=field)


def _unsupported(field: str, what: str) -> InvalidRequest:
    return InvalidRequest("capability.unsupported", f"{field}: not supported here: {what}", param=field)
