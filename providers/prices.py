"""What a call cost: by the entry's own prices, else by the price tables that are shipped with us."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from protocol.config import Price
from protocol.usage import Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation


class Prices:
    """The prices of one provider entry; `url` is None where no vendor's list can apply."""

    def __init__(self, own: Mapping[str, Price], *, url: str | None = None) -> None:
        self._own = own
        self._url = url

    def cost(self, model: str, usage: Usage) -> float | None:
        """US dollars; None where the model has no known price."""
        own = self._own.get(model)
        if own is not None:
            cached = own.input if own.cache_read is None else own.cache_read
            fresh = (usage.input_uncached + usage.cache_write) * own.input
            return (fresh + usage.cache_read * cached + usage.output_total * own.output) / 1_000_000
        return None if self._url is None else _listed_cost(model, self._url, usage)

    def known(self, model: str) -> bool:
        return self.cost(model, Usage(input_uncached=1, output_total=1)) is not None

    def context_window(self, model: str) -> int | None:
        return None if self._url is None else _listed_window(model, self._url)


def _listed(model: str, url: str, usage: Usage) -> "PriceCalculation | None":
    """By the vendor that the URL belongs to, else by the model's name alone."""
    from genai_prices import Usage as Tokens  # here: its tables take a third of a second to load
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.input_uncached + usage.cache_read + usage.cache_write,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output_total,
    )
    for api_url in (url, None):
        try:
            return calc_price(tokens, model, provider_api_url=api_url)
        except LookupError:
            continue
    return None


def _listed_cost(model: str, url: str, usage: Usage) -> float | None:
    found = _listed(model, url, usage)
    return None if found is None else float(found.total_price)


def _listed_window(model: str, url: str) -> int | None:
    found = _listed(model, url, Usage())
    return None if found is None else found.model.context_window
