"""Token counts of Responses: those of Chat Completions under other names."""

from protocol.noun import JSON
from protocol.usage import Usage
from providers.openai_compatible import usage as chat

_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
    "total_tokens": "total_tokens",
}


def usage_of(wire: JSON) -> tuple[Usage, bool] | None:
    """The counts, and whether they had to be clamped; None where they are not complete."""
    if not isinstance(wire, dict):
        return None
    return chat.usage_of({name: wire.get(own) for name, own in _NAMES.items()})
