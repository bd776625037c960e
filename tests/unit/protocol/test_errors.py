"""Faults: each class says whether to try again."""

import pytest

from protocol.errors import ErrorBody, Fault, Refused, Unavailable


def every(kind: type[Fault]) -> list[type[Fault]]:
    return [kind, *(inner for sub in kind.__subclasses__() for inner in every(sub))]


@pytest.mark.parametrize("kind", every(Refused))
def test_what_is_refused_is_never_tried_again(kind: type[Fault]) -> None:
    assert not kind.retryable
    assert 400 <= kind.status < 500 or kind.type == "provider_error"


@pytest.mark.parametrize("kind", every(Unavailable))
def test_what_is_unavailable_may_be_tried_again(kind: type[Fault]) -> None:
    assert kind.retryable
    assert kind.status in (429, 502, 503)


def test_the_tree_is_two_branches() -> None:
    assert {sub.__name__ for sub in Fault.__subclasses__()} == {"Refused", "Unavailable"}


def test_a_fault_is_told_as_one_object() -> None:
    fault = Unavailable("storage.unavailable", "the database is away", retry_after=2, details={"a": 1})
    assert fault.body("req_1") == ErrorBody(
        type="overloaded_error",
        code="storage.unavailable",
        message="the database is away",
        request_id="req_1",
        retryable=True,
        retry_after=2,
        details={"a": 1},
    )
