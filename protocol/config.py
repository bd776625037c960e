"""The words of `rhone.toml`: camel case inside a provider entry, snake case elsewhere."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from protocol.budget import BudgetEntry
from protocol.egress import EgressEntry
from protocol.label import Label, LabelKey
from protocol.mcp import McpServerEntry, ServerName
from protocol.memory import MemoryEntry
from protocol.noun import JSONObject, Noun
from protocol.preset import PRESETS, PresetName
from protocol.safety import SafetyProfile
from protocol.secret import SecretRef
from protocol.subrun import SubrunsEntry
from protocol.target import BoxLimits
from protocol.vault import VaultEntry, VaultName
from protocol.web import SearchEntry, WebEntry
from protocol.webhook import DeliveryEntry, WebhookEntry
from protocol.workspace import ENVIRONMENT_NAME

EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class ProviderEntry(Noun):
    """One model backend: docs/providers.md. `scripted` reads its turns from `script`: docs/scripted.md.

    A `preset` says what the entry does not say itself; fields of the wire in `omit` are never sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)

    protocol: Literal["openai-compatible", "anthropic", "gemini", "scripted"]
    base_url: Url | None = Field(default=None, alias="baseURL")
    api_key_ref: SecretRef | None = None
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    api_shape: Literal["chat-completions", "responses"] = "chat-completions"
    timeout_ms: Annotated[int, Field(ge=1)] = 600_000
    default_params: JSONObject = {}
    pass_reasoning_to_loop: bool = False
    think_tags: bool = False
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    schema_form: Literal["json-schema", "openapi"] = "json-schema"
    context_window: Annotated[int, Field(ge=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] = 16_384
    prices: dict[str, "Price"] = {}
    script: str | None = None
    preset: PresetName | None = None
    omit: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_preset(self) -> "ProviderEntry":
        """What the file says stands before what the preset says."""
        if self.preset is None:
            return self
        says = PRESETS[self.preset]._asdict().items()
        return self.model_copy(
            update={name: value for name, value in says if name not in self.model_fields_set}
        )


class Price(Noun):
    """US dollars per million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cache_read: Annotated[float, Field(ge=0)] | None = None


class TargetEntry(Noun):
    """A kind of workspace: docs/workspace.md. `dockerfile` and `devcontainer` are paths in the repository of
    the run, and come instead of `image`. Nothing secret belongs into `env`."""

    kind: Literal["workspace"]
    image: str = "default"
    dockerfile: str | None = None
    devcontainer: str | None = None
    build_network: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = "none"
    setup: tuple[Annotated[str, Field(min_length=1, max_length=10_000)], ...] = ()
    setup_timeout_ms: Annotated[int, Field(ge=1_000, le=24 * 3600 * 1000)] = 900_000
    limits: BoxLimits = BoxLimits()
    runtime: str = ""
    env: dict[EnvironmentName, str] = {}

    @model_validator(mode="after")
    def _one_image(self) -> "TargetEntry":
        if sum((self.image != "default", self.dockerfile is not None, self.devcontainer is not None)) > 1:
            raise ValueError("`image`, `dockerfile` or `devcontainer`, one of them")
        if self.build_network == "host":
            raise ValueError("`build_network`: what a repository builds never shares this machine's network")
        return self

    @property
    def of_repository(self) -> bool:
        """What it is made of is each repository's to say."""
        return self.dockerfile is not None or self.devcontainer is not None


class ForgeEntry(Noun):
    """`owner` completes a remote that names only a repository. A `directory` of bare repositories, at a
    `file://` address, is for tests: a worker takes it only when its settings say so."""

    kind: Literal["gitea", "github", "directory"]
    url: Annotated[str, Field(pattern=r"^(https?|file)://[^\s@]+$")]
    tokenRef: SecretRef  # noqa: N815  the file's own spelling
    owner: str | None = None

    @model_validator(mode="after")
    def _address_fits(self) -> "ForgeEntry":
        if (self.kind == "directory") != self.url.startswith("file://"):
            raise ValueError("`url` is a file:// address for a directory, and only for one")
        return self


class FormerKey(Noun):
    """A key that signed before (its public half, base64); nothing signed since `revoked_at` is believed."""

    public_key: str
    revoked_at: datetime | None = None


class SigningEntry(Noun):
    former: tuple[FormerKey, ...] = ()
    keyRef: SecretRef = SecretRef(kind="file", name="signing.key")  # noqa: N815  the file's own spelling


class PoliciesEntry(Noun):
    """`shadow` are files of a candidate that decides beside `files`: what differs is recorded."""

    files: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()


class AuthEntry(Noun):
    mode: Literal["required", "optional", "disabled"] = "required"


class CorsEntry(Noun):
    origins: tuple[str, ...] = ()


class LimitsEntry(Noun):
    """Back-pressure: what one gateway holds at most before it answers 429 or 503."""

    requests_in_flight: Annotated[int, Field(ge=1)] = 512
    streams: Annotated[int, Field(ge=1)] = 2_000
    open_runs: Annotated[int, Field(ge=1)] = 20_000
    wait_seconds: Annotated[float, Field(gt=0)] = 3_600


class CheckpointsEntry(Noun):
    expires_in_s: Annotated[int, Field(ge=1)] = 7 * 24 * 3600


class WorkspacesEntry(Noun):
    pool_size: Annotated[int, Field(ge=0, le=64)] = 2
    idle_release_s: Annotated[int, Field(ge=1)] = 300


class Config(Noun):
    """All of `rhone.toml`; every table may be absent.

    `counting_tools` names a file: with it, tools that only count exist, one per effect class, for trying
    policies, approvals and crashes without an outside world.
    """

    providers: dict[str, ProviderEntry] = {}
    aliases: dict[str, str] = {}
    targets: dict[str, TargetEntry] = {}
    forges: dict[str, ForgeEntry] = {}
    signing: SigningEntry = SigningEntry()
    policies: PoliciesEntry = PoliciesEntry()
    auth: AuthEntry = AuthEntry()
    cors: CorsEntry = CorsEntry()
    limits: LimitsEntry = LimitsEntry()
    checkpoints: CheckpointsEntry = CheckpointsEntry()
    budgets: dict[str, BudgetEntry] = {}
    labels: dict[LabelKey, tuple[Label, ...]] = {}
    safety_profiles: dict[str, SafetyProfile] = {}
    workspaces: WorkspacesEntry = WorkspacesEntry()
    web: WebEntry = WebEntry()
    egress: EgressEntry | None = None
    search: SearchEntry | None = None
    memory: MemoryEntry | None = None
    mcp_servers: dict[ServerName, McpServerEntry] = {}
    webhooks: dict[str, WebhookEntry] = {}
    webhook_delivery: DeliveryEntry = DeliveryEntry()
    vaults: dict[VaultName, VaultEntry] = {}
    subruns: SubrunsEntry = SubrunsEntry()
    counting_tools: str | None = None
