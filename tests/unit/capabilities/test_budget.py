"""The budget gate: what a call may take, cut to what is left, and never cut for what others hold."""

from hypothesis import given
from hypothesis import strategies as st

from capabilities.budget import FEWEST, Busy, Estimate, Exceeded, Fits, estimated_input, fit, narrowest
from protocol.budget import Account, Amount, nanos
from protocol.model import ModelRequest

CALL = Estimate(input_tokens=100, output_tokens=1000, input_nanos=100_000, output_nanos=2_000_000)


def tokens(most: int, spent: int = 0, held: int = 0) -> Account:
    return Account(id="a", budget="b", max_tokens=most, spent=Amount(tokens=spent), held=Amount(tokens=held))


def dollars(most: int, spent: int = 0, held: int = 0) -> Account:
    return Account(id="a", budget="b", max_nanos=most, spent=Amount(nanos=spent), held=Amount(nanos=held))


def test_a_call_that_fits_may_answer_as_much_as_its_model_can() -> None:
    assert fit(CALL, tokens(1100)) == Fits(output=1000)
    assert fit(CALL, dollars(2_100_000)) == Fits(output=1000)


def test_the_answer_is_cut_to_what_is_left() -> None:
    assert fit(CALL, tokens(1100, spent=500)) == Fits(output=500)
    assert fit(CALL, dollars(2_100_000, spent=1_000_000)) == Fits(output=500)


def test_a_call_that_could_hardly_answer_counts_as_too_much() -> None:
    assert fit(CALL, tokens(100 + FEWEST)) == Fits(output=FEWEST)
    assert fit(CALL, tokens(100 + FEWEST - 1)) == Exceeded(reason="max_tokens")
    assert fit(CALL, dollars(100_000)) == Exceeded(reason="max_cost")


def test_what_others_merely_hold_is_waited_for() -> None:
    assert fit(CALL, tokens(1100, held=1)) == Busy()
    assert fit(CALL, dollars(2_100_000, held=1)) == Busy()


def test_a_call_without_a_price_is_limited_by_tokens_alone() -> None:
    unpriced = Estimate(input_tokens=100, output_tokens=1000)
    assert fit(unpriced, tokens(600)) == Fits(output=500)


def seconds(most: int, spent: int = 0, held: int = 0) -> Account:
    return Account(
        id="a", budget="b", max_ms=most * 1000, spent=Amount(ms=spent * 1000), held=Amount(ms=held * 1000)
    )


def test_time_is_cut_waited_for_and_used_up_like_output() -> None:
    call = CALL.model_copy(update={"ms": 600_000})
    assert fit(call, seconds(900)) == Fits(output=1000, ms=600_000)
    assert fit(call, seconds(900, spent=500)) == Fits(output=1000, ms=400_000)
    assert fit(call, seconds(900, spent=899)) == Fits(output=1000, ms=1_000)
    assert fit(call, seconds(900, spent=900)) == Exceeded(reason="timeout")
    assert fit(call, seconds(900, held=400)) == Busy()
    assert fit(call, tokens(1100)) == Fits(output=1000, ms=600_000)
    assert narrowest([Fits(output=9, ms=1), Fits(output=1, ms=9)]) == Fits(output=1, ms=1)


@given(
    most=st.integers(0, 10**7),
    spent=st.integers(0, 10**7),
    held=st.integers(0, 10**7),
    price=st.integers(0, 10**7),
)
def test_a_call_that_fits_never_passes_what_is_left(most: int, spent: int, held: int, price: int) -> None:
    call = CALL.model_copy(update={"output_nanos": price})
    for account in (tokens(most, spent, held), dollars(most, spent, held)):
        answer = fit(call, account)
        if isinstance(answer, Fits):
            taken = call.amount(answer.output)
            assert account.max_tokens is None or spent + held + taken.tokens <= most
            assert account.max_nanos is None or spent + held + taken.nanos <= most


def test_the_input_is_estimated_from_all_that_the_model_is_sent() -> None:
    bare = ModelRequest(model="m", instructions="", blocks=())
    assert estimated_input(bare) == 0
    assert estimated_input(bare.model_copy(update={"instructions": "x" * 300})) == 100


def test_money_is_counted_in_whole_billionths() -> None:
    assert nanos(0.1) + nanos(0.2) == nanos(0.3)
