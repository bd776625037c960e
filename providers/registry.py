"""The model registry: which name means which model of which provider entry."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from protocol.config import Config, ProviderEntry
from protocol.errors import InvalidRequest
from protocol.noun import JSON, JSONObject
from protocol.secret import SecretRef
from providers.anthropic.dialect import Messages
from providers.gemini.dialect import Gemini
from providers.openai_compatible.dialect import ChatCompletions
from providers.openai_responses.dialect import Responses
from providers.prices import Prices
from providers.provider import Provider
from providers.script import read_script
from providers.scripted import ScriptedProvider
from providers.upstream import Dialect, Upstream, is_own

_CAPABILITIES: dict[str, JSONObject] = {
    "openai-compatible": {
        "streaming": "hard",
        "tool_calling": "hard",
        "structured_output": "preferred",
        "multimodal": "probed",
        "reasoning": "probed",
        "context_window": "probed",
        "prompt_caching": "probed",
    },
    "gemini": {
        "streaming": "hard",
        "tool_calling": "hard",
        "structured_output": "preferred",
        "multimodal": "preferred",
        "reasoning": "preferred",
        "context_window": "probed",
        "prompt_caching": "preferred",
    },
    "anthropic": {
        "streaming": "hard",
        "tool_calling": "hard",
        "structured_output": "preferred",
        "multimodal": "preferred",
        "reasoning": "preferred",
        "context_window": "probed",
        "prompt_caching": "probed",
    },
    "scripted": {"streaming": "hard", "tool_calling": "hard"},
}

_DIALECTS: dict[tuple[str, str], Callable[..., Dialect]] = {
    ("openai-compatible", "chat-completions"): ChatCompletions,
    ("openai-compatible", "responses"): Responses,
    ("anthropic", "chat-completions"): Messages,
    ("gemini", "chat-completions"): Gemini,
}
"""By `protocol` and `apiShape`; each takes the entry, its `place` in the file and its `prices`."""


@dataclass(frozen=True)
class Resolved:
    """A model that was asked for by any of its names; `wire_model` is what the backend at `host` calls it."""

    name: str
    entry: str
    host: str | None
    wire_model: str
    provider: Provider
    context_window: int | None
    priced: bool
    max_output_tokens: int
    timeout_ms: int
    prices: Prices


class Registry:
    """All models of a configuration. Secrets are looked up when a request is sent, not here."""

    def __init__(self, config: Config, resolve_secret: Callable[[SecretRef], str], base_dir: Path) -> None:
        self._config = config
        self._resolve_secret = resolve_secret
        self._base_dir = base_dir
        self._providers: dict[str, Provider] = {}
        self._models: dict[str, Resolved] = {}
        self._load()

    def _load(self) -> None:
        """All entries; refuses a configuration in which some name could not be served."""
        for name, entry in self._config.providers.items():
            self._check(name, entry)
            provider = self._providers[name] = self._provider(name, entry)
            for model in entry.models:
                self._models[f"{name}/{model}"] = _resolved(name, entry, model, provider)
        for alias, target in self._config.aliases.items():
            place = f"aliases.{alias}"
            if target in self._config.aliases:
                message = f"{place}: {target!r} is an alias itself"
                raise InvalidRequest("model.alias_loop", message, param=place)
            try:
                self._find(target)
            except InvalidRequest as error:
                raise InvalidRequest(error.code, f"{place}: {error.message}", param=place) from error

    def resolve(self, name: str) -> Resolved:
        """The model of an alias, of `entry/model`, or of a bare name that only one entry serves."""
        return self._find(self._config.aliases.get(name, name))

    def models(self) -> list[JSONObject]:
        """Every model once, in the order of the file, under its full name."""
        named: dict[str, list[JSON]] = {}
        for alias, target in self._config.aliases.items():
            named.setdefault(self._find(target).name, []).append(alias)
        return [
            {
                "id": model.name,
                "provider": model.entry,
                "capabilities": _CAPABILITIES[self._config.providers[model.entry].protocol],
                "context_window": model.context_window,
                "aliases": named.get(model.name, []),
            }
            for model in self._models.values()
        ]

    async def close(self) -> None:
        for provider in self._providers.values():
            await provider.close()

    def _find(self, name: str) -> Resolved:
        if name in self._models:
            return self._models[name]
        holders = [model for model in self._models.values() if model.wire_model == name]
        if not holders:
            raise InvalidRequest("model.unknown", f"no provider serves the model {name!r}", param="model")
        if len(holders) > 1:
            choices = ", ".join(model.name for model in holders)
            message = f"several providers serve {name!r}: ask for one of {choices}"
            raise InvalidRequest("model.ambiguous", message, param="model")
        return holders[0]

    def _check(self, name: str, entry: ProviderEntry) -> None:
        place = f"providers.{name}"
        if not name or "/" in name:
            raise _invalid(place, "the name of an entry holds no slash")
        if len(set(entry.models)) < len(entry.models):
            raise _invalid(f"{place}.models", "a model stands twice")
        for model in entry.prices:
            if model not in entry.models:
                raise _invalid(f"{place}.prices.{model}", "the entry does not serve this model")
        if entry.protocol == "scripted" and entry.script is None:
            raise _invalid(f"{place}.script", "a scripted provider needs a script file")

    def _provider(self, name: str, entry: ProviderEntry) -> Provider:
        if entry.protocol == "scripted":
            script = read_script(self._base_dir / (entry.script or ""))
            return ScriptedProvider(script, prices=_prices(entry), timeout_s=entry.timeout_ms / 1000)
        place = f"providers.{name}"
        key = entry.api_key_ref
        if entry.base_url is None or (key is None and not is_own(entry)):
            missing = "baseURL" if entry.base_url is None else "apiKeyRef"
            raise _invalid(f"{place}.{missing}", f"a provider that speaks {entry.protocol} needs it")
        dialect = _DIALECTS.get((entry.protocol, entry.api_shape))
        if dialect is None:
            raise _invalid(f"{place}.apiShape", f"{entry.protocol} does not speak {entry.api_shape!r}")
        spoken = dialect(entry, place=place, prices=_prices(entry))
        return Upstream(spoken, entry, lambda: self._resolve_secret(key) if key else "none")


def _resolved(name: str, entry: ProviderEntry, model: str, provider: Provider) -> Resolved:
    prices = _prices(entry)
    return Resolved(
        name=f"{name}/{model}",
        entry=name,
        host=urlsplit(entry.base_url).hostname if entry.base_url else None,
        wire_model=model,
        provider=provider,
        context_window=entry.context_window or prices.context_window(model),
        priced=prices.known(model),
        max_output_tokens=entry.max_output_tokens,
        timeout_ms=entry.timeout_ms,
        prices=prices,
    )


def _prices(entry: ProviderEntry) -> Prices:
    """A scripted model has its own prices or none: a list price would be an accident of its name."""
    return Prices(entry.prices, url=None if entry.protocol == "scripted" else entry.base_url)


def _invalid(place: str, message: str) -> InvalidRequest:
    return InvalidRequest("provider.invalid_entry", f"{place}: {message}", param=place)
