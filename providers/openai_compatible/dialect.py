"""The `openai-compatible` dialect: Chat Completions, as OpenAI and many others speak it."""

from protocol.config import ProviderEntry
from protocol.model import ModelRequest
from providers.openai_compatible.params import read_params
from providers.openai_compatible.request import body_of
from providers.openai_compatible.stream import ChatAnswer
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Sending, endpoint, headers_of, provenance_of


class ChatCompletions:
    """The wire of one entry."""

    def __init__(self, entry: ProviderEntry, *, place: str, prices: Prices) -> None:
        self._entry = entry
        self._prices = prices
        self._params = read_params(entry.default_params, place=f"{place}.defaultParams")
        self._url = endpoint(entry, "chat/completions", place=place)

    def write(self, request: ModelRequest, key: str, attempt: int, scrubber: Scrubber) -> Sending:
        provenance = provenance_of("chat", self._entry, request.model)
        body = body_of(
            request,
            self._params,
            token_field=self._entry.max_tokens_field,
            provenance=provenance,
            omit=self._entry.omit,
        )
        answer = ChatAnswer(
            body,
            provenance=provenance,
            scrubber=scrubber,
            cost=lambda usage: self._prices.cost(request.model, usage),
            show_reasoning=self._entry.pass_reasoning_to_loop,
            think_tags=self._entry.think_tags,
        )
        headers = headers_of(attempt, authorization=f"Bearer {key}")
        return Sending(self._url, headers, body.content, dict(body.notices), answer)
