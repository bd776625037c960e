"""The `responses` shape of the `openai-compatible` dialect."""

from protocol.config import ProviderEntry
from protocol.model import ModelRequest
from providers.openai_responses.params import read_params
from providers.openai_responses.request import body_of
from providers.openai_responses.scene import Scene
from providers.openai_responses.stream import ResponsesAnswer
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Sending, endpoint, headers_of, provenance_of


class Responses:
    """The wire of one entry."""

    def __init__(self, entry: ProviderEntry, *, place: str, prices: Prices) -> None:
        self._entry = entry
        self._prices = prices
        self._params = read_params(entry.default_params, place=f"{place}.defaultParams")
        self._url = endpoint(entry, "responses", place=place)

    def write(self, request: ModelRequest, key: str, attempt: int, scrubber: Scrubber) -> Sending:
        provenance = provenance_of("responses", self._entry, request.model)

        def sending(*, replay: bool) -> Sending:
            maker = provenance if replay else None
            body = body_of(request, self._params, provenance=maker, omit=self._entry.omit)
            return Sending(
                self._url,
                headers_of(attempt, authorization=f"Bearer {key}"),
                body.content,
                dict(body.notices),
                ResponsesAnswer(
                    Scene(provenance, body.aliases, set(body.used_ids), self._entry.pass_reasoning_to_loop),
                    sent_bytes=len(body.content),
                    scrubber=scrubber,
                    cost=lambda usage: self._prices.cost(request.model, usage),
                ),
                stripped=(lambda: sending(replay=False)) if body.replays else None,
            )

        return sending(replay=True)
