"""Webhooks: who is told of what happens to runs and checkpoints, and each telling with what became of it."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from protocol.event import EventBody
from protocol.ids import RunId
from protocol.noun import Moment, Noun
from protocol.secret import SecretRef

FAMILIES = ("checkpoint.", "run.")
_ALL = [kind.model_fields["type"].default for kind in get_args(get_args(EventBody)[0])]
TYPES = frozenset(name for name in _ALL if name.startswith(FAMILIES))


def _known(pattern: str) -> str:
    if pattern not in TYPES and pattern not in {f"{family}*" for family in FAMILIES}:
        raise ValueError("one of checkpoint.*, run.*, or the type of one such event")
    return pattern


Pattern = Annotated[str, AfterValidator(_known)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=64)]
HookUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@\\]+([/?][^\s#]*)?$", max_length=2_000)]


class WebhookEntry(Noun):
    """One table `[webhooks.NAME]` of `rhone.toml`; the secret is `whsec_` and 24 to 64 bytes in base64."""

    url: HookUrl
    events: Patterns
    project: str = "default"
    secretRef: SecretRef  # noqa: N815  the file's own spelling


class DeliveryEntry(Noun):
    """How tellings are tried: the waits double up to the longest; `allow_private` names `host:port` pairs
    that may lie on a private address."""

    first_retry_s: Annotated[float, Field(gt=0)] = 5
    longest_retry_s: Annotated[float, Field(gt=0)] = 3_600
    attempts: Annotated[int, Field(ge=1, le=100)] = 12
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 15
    allow_private: tuple[str, ...] = ()


class WebhookBody(Noun):
    """What is put under a name; `project` is the caller's own, and need not be said."""

    url: HookUrl
    events: Patterns
    project: str | None = None


class Webhook(Noun):
    """`secret` is shown once, to whoever made it; `declared` is one that stands in `rhone.toml`."""

    name: str
    url: str
    events: tuple[str, ...]
    declared: bool = False
    secret: str | None = None
    created_at: Moment
    updated_at: Moment


DeliveryState = Literal["pending", "delivered", "given_up"]


class Delivery(Noun):
    """One event for one webhook; its id is the same at each attempt."""

    id: str
    webhook: str
    type: str
    run_id: RunId
    seq: int
    state: DeliveryState
    attempts: int
    created_at: Moment
    next_attempt_at: Moment | None = None
    last_attempt_at: Moment | None = None
    last_status: int | None = None
    last_error: str | None = None
    delivered_at: Moment | None = None
