"""Decisions of moderation that need no database."""

from datetime import UTC, datetime, timedelta

import pytest

from api.platform.moderation.rules import alpha, dsa_account, in_force, is_reviewed, may_appeal, strikes_of, weight_of

_A = (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None)
_B = (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3)
_C = (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None)
_D = (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None)


def test_alpha_equals_the_published_example() -> None:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: nominal data, 4 observers, 12 units, 0.743."""
    units = [[each for each in unit if each is not None] for unit in zip(_A, _B, _C, _D, strict=True)]

    assert alpha(units) == pytest.approx(0.743, abs=0.0005)
    binary = [[a, b] for a, b in zip((0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0), strict=True)]
    assert alpha(binary) == pytest.approx(0.095, abs=0.0005)
    assert alpha([[1, 1], [1, 1]]) == 1.0
    assert alpha([[1], []]) is None


def test_a_decision_counts_as_much_as_its_hardest_action() -> None:
    assert (strikes_of(()), strikes_of(("label",))) == (0, 0)
    assert (strikes_of(("remove", "warn")), strikes_of(("remove", "ban"))) == (1, 3)
    assert in_force(("mute", "lock", "remove")) == ("remove", "lock")
    assert (weight_of(0, 0), weight_of(0, 9), weight_of(9, 0)) == (1.0, 0.1, 1.0)


def test_an_appeal_is_filed_within_six_months() -> None:
    decided = datetime(2031, 1, 31, tzinfo=UTC)

    assert may_appeal(decided, datetime(2031, 7, 31, tzinfo=UTC))
    assert not may_appeal(decided, decided + timedelta(days=184))


def test_one_decision_of_twenty_is_reviewed() -> None:
    assert [is_reviewed(number) for number in (0, 2**32 // 20 - 1, 2**32 // 20, 2**32 - 1)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_ban_and_a_mute_restrict_the_account() -> None:
    assert dsa_account(["ban"], None) == "DECISION_ACCOUNT_TERMINATED"
    assert dsa_account(["mute"], datetime(2031, 1, 1, tzinfo=UTC)) == "DECISION_ACCOUNT_SUSPENDED"
    assert dsa_account(["remove"], None) is None
