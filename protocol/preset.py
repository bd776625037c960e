"""Backends that speak Chat Completions with an accent: what an entry of `rhone.toml` need not say itself."""

from typing import Literal, NamedTuple

from protocol.secret import SecretRef

PresetName = Literal[
    "kimi", "groq", "cerebras", "openrouter", "mistral", "deepseek", "vllm", "ollama", "lm-studio"
]


class Preset(NamedTuple):
    """The fields of an entry by their names; `omit` are those that a backend answers with an error where
    others ignore them. A backend without a key runs on this very machine."""

    base_url: str
    api_key_ref: SecretRef | None
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    omit: tuple[str, ...] = ()


def _key(name: str) -> SecretRef:
    return SecretRef(kind="env", name=name)


PRESETS: dict[PresetName, Preset] = {
    "kimi": Preset("https://api.moonshot.ai/v1", _key("MOONSHOT_API_KEY")),
    "groq": Preset(
        "https://api.groq.com/openai/v1",
        _key("GROQ_API_KEY"),
        "max_completion_tokens",
        ("prompt_cache_key", "store"),
    ),
    "cerebras": Preset(
        "https://api.cerebras.ai/v1", _key("CEREBRAS_API_KEY"), "max_completion_tokens", ("prompt_cache_key",)
    ),
    "openrouter": Preset("https://openrouter.ai/api/v1", _key("OPENROUTER_API_KEY")),
    "mistral": Preset(
        "https://api.mistral.ai/v1",
        _key("MISTRAL_API_KEY"),
        omit=("stream_options", "prompt_cache_key", "store", "logprobs", "top_logprobs", "user"),
    ),
    "deepseek": Preset("https://api.deepseek.com/v1", _key("DEEPSEEK_API_KEY")),
    "vllm": Preset("http://127.0.0.1:8000/v1", None),
    "ollama": Preset("http://127.0.0.1:11434/v1", None),
    "lm-studio": Preset("http://127.0.0.1:1234/v1", None),
}
