import pytest

from tests.platform.exceptions import Fault, hold


def test_hold_fails_for_a_fault_that_nobody_excepts() -> None:
    with pytest.raises(AssertionError, match="course_list_runs: takes no key"):
        hold([Fault("no_idempotency_key", "course_list_runs", "course_list_runs: takes no key")])


def test_hold_fails_for_an_exception_that_excuses_nothing() -> None:
    fault = Fault("no_plural", "catalog", "GET /v1/catalog: an area is a plural noun")

    with pytest.raises(AssertionError, match="gateway: nothing is wrong here any more, remove the exception no_plural"):
        hold([fault], "no_plural")
