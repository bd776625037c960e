"""The `gemini` dialect: generateContent of the Gemini API, streamed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import quote, urlsplit

from protocol.config import ProviderEntry
from protocol.errors import InvalidRequest
from protocol.model import ModelRequest
from providers.gemini.params import read_params
from providers.gemini.request import Writing, body_of
from providers.gemini.stream import GeminiAnswer
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Sending, endpoint, headers_of, provenance_of

_VERSION = "v1beta"


class Gemini:
    """The wire of one entry."""

    def __init__(self, entry: ProviderEntry, *, place: str, prices: Prices) -> None:
        self._entry = entry
        self._place = place
        self._prices = prices
        self._writing = Writing(
            params=read_params(entry.default_params, place=f"{place}.defaultParams"),
            schema_form=entry.schema_form,
            show_thoughts=entry.pass_reasoning_to_loop,
        )
        if urlsplit(entry.base_url or "").path.rstrip("/").endswith(("/v1", "/v1beta", "/v1alpha")):
            where = f"{place}.baseURL"
            message = f"{where}: name the root without a version, {_VERSION} is appended"
            raise InvalidRequest("provider.invalid_entry", message, param=where)
        for model in entry.models:
            self._url(model)

    def write(self, request: ModelRequest, key: str, attempt: int, scrubber: Scrubber) -> Sending:
        provenance = provenance_of("gemini", self._entry, request.model)
        body = body_of(request, self._writing, provenance)
        answer = GeminiAnswer(
            body,
            provenance=provenance,
            scrubber=scrubber,
            cost=lambda usage: self._prices.cost(request.model, usage),
            show_reasoning=self._entry.pass_reasoning_to_loop,
        )
        return Sending(
            url=self._url(request.model),
            headers=headers_of(attempt, x_goog_api_key=key),
            content=body.content,
            notices=_joined(body.notices),
            answer=answer,
            stripped=self._stripped(request, key, attempt, scrubber),
        )

    def _stripped(
        self, request: ModelRequest, key: str, attempt: int, scrubber: Scrubber
    ) -> Callable[[], Sending] | None:
        if not any(block.opaque for block in request.blocks):
            return None
        bare = tuple(block.model_copy(update={"opaque": ()}) for block in request.blocks)

        def again() -> Sending:
            sending = self.write(request.model_copy(update={"blocks": bare}), key, attempt, scrubber)
            told = {"opaque_dropped": "the backend took no signatures back: asked once more without them"}
            return replace(sending, notices={**sending.notices, **told})

        return again

    def _url(self, model: str) -> str:
        """A bare name is one of the vendor's models; tuned ones bring their collection along."""
        path = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
        operation = f"{_VERSION}/{quote(path)}:streamGenerateContent"
        parts = urlsplit(endpoint(self._entry, operation, place=self._place))
        return parts._replace(query="&".join(filter(None, (parts.query, "alt=sse")))).geturl()


def _joined(notices: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One notice a code, with all that it has to say."""
    out: dict[str, list[str]] = {}
    for code, detail in dict.fromkeys(notices):
        out.setdefault(code, []).append(detail)
    return {code: "; ".join(details) for code, details in out.items()}
