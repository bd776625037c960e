"""A detector that somebody runs elsewhere: it is asked once, under a time limit, and silence is an answer."""

import httpx2
from pydantic import Field, ValidationError

from protocol.noun import JSONObject, Noun
from providers.trust import trust_for

LARGEST = 64 * 1024
UNANSWERED = "webhook.unanswered"


class Flagged(Noun):
    """What such a detector says."""

    flagged: bool
    reasons: tuple[str, ...] = Field(default=(), max_length=20)


async def ask(url: str, question: JSONObject, timeout_ms: int) -> Flagged | None:
    """None where there was no answer in time, or one that cannot be read."""
    try:
        verify, seconds = trust_for(url), timeout_ms / 1000
        async with httpx2.AsyncClient(timeout=seconds, follow_redirects=False, verify=verify) as client:
            answer = await client.post(url, json=question)
        if answer.status_code != 200 or len(answer.content) > LARGEST:
            return None
        return Flagged.model_validate_json(answer.content)
    except (httpx2.HTTPError, ValidationError):
        return None
