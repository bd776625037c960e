"""The `anthropic` dialect: the Messages API, as Anthropic and some others speak it."""

from protocol.config import ProviderEntry
from protocol.model import ModelRequest
from providers.anthropic.params import DefaultParams, read_params
from providers.anthropic.request import body_of
from providers.anthropic.stream import MessagesAnswer
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Sending, endpoint, headers_of, provenance_of


class Messages:
    """The wire of one entry."""

    def __init__(self, entry: ProviderEntry, *, place: str, prices: Prices) -> None:
        self._entry = entry
        self._prices = prices
        self._params = read_params(entry.default_params, place=f"{place}.defaultParams")
        self._url = endpoint(entry, "v1/messages", place=place)

    def write(self, request: ModelRequest, key: str, attempt: int, scrubber: Scrubber) -> Sending:
        provenance = provenance_of("anthropic", self._entry, request.model)
        shown = self._entry.pass_reasoning_to_loop
        headers = headers_of(attempt, x_api_key=key, anthropic_version=self._params.anthropic_version)

        def sending(params: DefaultParams) -> Sending:
            body = body_of(request, params, provenance=provenance, shown=shown, omit=self._entry.omit)
            answer = MessagesAnswer(
                body,
                provenance=provenance,
                scrubber=scrubber,
                cost=lambda usage: self._prices.cost(request.model, usage),
                show_reasoning=shown,
            )
            without = params.model_copy(update={"send_reasoning": False})
            stripped = (lambda: sending(without)) if body.replays else None
            return Sending(self._url, headers, body.content, body.notices, answer, stripped)

        return sending(self._params)
