"""What a call cost."""

import pytest

from protocol.config import Price
from protocol.usage import Usage
from providers.prices import Prices

USED = Usage(input_uncached=1_000_000, cache_read=1_000_000, cache_write=500_000, output_total=2_000_000)
OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (Price(input=2, output=10), 2 + 1 + 2 + 20),
        (Price(input=2, output=10, cache_read=0.5), 2 + 1 + 0.5 + 20),
        (Price(input=0, output=0), 0),
    ],
)
def test_the_prices_of_the_entry_come_first(price: Price, cost: float) -> None:
    assert Prices({"gpt-4o": price}, url=OPENAI).cost("gpt-4o", USED) == cost


def test_a_listed_model_has_its_list_price_at_its_vendor_and_behind_a_proxy() -> None:
    used = Usage(input_uncached=1_000_000, output_total=1_000_000)
    at_vendor = Prices({}, url=OPENAI).cost("gpt-4o", used)
    assert at_vendor == Prices({}, url="http://127.0.0.1:4000/v1").cost("gpt-4o", used)
    assert at_vendor is not None
    assert at_vendor > 0


def test_an_unknown_model_has_no_price_and_no_window() -> None:
    prices = Prices({}, url=OPENAI)
    assert prices.cost("no-such-model-anywhere", USED) is None
    assert prices.context_window("no-such-model-anywhere") is None
    assert not prices.known("no-such-model-anywhere")


def test_without_a_url_no_list_applies() -> None:
    assert Prices({}).cost("gpt-4o", USED) is None
    assert Prices({}).context_window("gpt-4o") is None


def test_a_listed_context_window_is_known() -> None:
    assert Prices({}, url=OPENAI).context_window("gpt-4o") == 128_000
