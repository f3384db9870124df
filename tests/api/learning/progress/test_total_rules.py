"""Totals equal a slow calculation by hand, whatever the scheme."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from hypothesis import given as for_all
from hypothesis import strategies as st

from api.learning.progress.contract import ResultState
from api.learning.progress.totals.rules import WHOLE, Given, Item, Scheme, next_due, totals_of

NOW = datetime(2030, 5, 1, tzinfo=UTC)
_PAST, _FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)
_CATEGORIES = [UUID(int=n) for n in (1, 2, 3)]
_STATES: list[ResultState | None] = [None, "scored", "scored", "scored", "pending", "excused", "withdrawn"]
_Case = tuple[list[Scheme], list[Item], dict[UUID, Given]]


def _number(least: int, most: int) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda n: Decimal(n) / 4)


@st.composite
def _cases(draw: st.DrawFn) -> _Case:
    schemes = [
        Scheme(
            id=id,
            weight=draw(_number(0, 400)),
            drop_lowest=draw(st.integers(0, 3)),
            extra_credit=draw(st.booleans()),
            missing_as_zero=draw(st.booleans()),
        )
        for id in draw(st.sampled_from([_CATEGORIES[:count] for count in range(4)]))
    ]
    items = [
        Item(
            id=UUID(int=100 + n),
            category_id=draw(st.sampled_from([None, *_CATEGORIES])),
            weight=draw(st.none() | _number(0, 40)),
            score_maximum=draw(_number(1, 400)),
            due_at=draw(st.sampled_from([None, _PAST, _FUTURE, NOW])),
            released=True,
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    given: dict[UUID, Given] = {}
    for item in items:
        state = draw(st.sampled_from(_STATES))
        if state == "scored":
            given[item.id] = Given(
                state="scored", score_given=draw(_number(0, 500)), score_maximum=draw(_number(1, 400))
            )
        elif state is not None:
            given[item.id] = Given(state=state, score_given=None, score_maximum=None)
    return schemes, items, given


def _by_hand(case: _Case) -> dict[UUID, Fraction | None]:
    """Calculate step by step, as on paper."""
    schemes, items, given = case
    found: dict[UUID, Fraction | None] = {}
    for scheme in schemes or [None]:
        scores: list[list[Fraction]] = []
        for item in items:
            if scheme is not None and item.category_id != scheme.id:
                continue
            mine = given.get(item.id)
            if mine is not None and mine.score_given is not None and mine.score_maximum is not None:
                score = Fraction(str(mine.score_given)) / Fraction(str(mine.score_maximum))
            elif mine is None or mine.state == "withdrawn":
                overdue = item.due_at is not None and not item.due_at > NOW
                if scheme is None or not scheme.missing_as_zero or not overdue:
                    continue
                score = Fraction(0)
            else:
                continue
            weight = Fraction(str(item.score_maximum)) if item.weight is None else Fraction(str(item.weight))
            if weight != 0:
                scores.append([score, Fraction(item.id.int), weight])
        for _ in range(0 if scheme is None else scheme.drop_lowest):
            if len(scores) > 1:
                scores.remove(min(scores))
        weights = sum((weight for _, _, weight in scores), Fraction(0))
        reached = sum((score * weight for score, _, weight in scores), Fraction(0))
        found[WHOLE if scheme is None else scheme.id] = reached / weights if scores else None
    if schemes:
        reached = possible = Fraction(0)
        for scheme in schemes:
            part = found[scheme.id]
            if part is not None:
                reached += part * Fraction(str(scheme.weight))
                if not scheme.extra_credit:
                    possible += Fraction(str(scheme.weight))
        found[WHOLE] = None if possible == 0 else reached / possible
    return found


@for_all(_cases())
def test_totals_equal_a_calculation_by_hand(case: _Case) -> None:
    totals = totals_of(*case, NOW)

    by_hand = _by_hand(case)
    assert totals.keys() == by_hand.keys()
    for id, percent in totals.items():
        exact = by_hand[id]
        if exact is None or percent is None:
            assert (exact, percent) == (None, None)
        else:
            assert percent == percent.quantize(Decimal("0.0001"))
            # Half up: never half a place above the exact value, and at most half a place below.
            distance = Fraction(percent) - exact * 100
            assert -Fraction(1, 20000) < distance <= Fraction(1, 20000)


@for_all(_cases())
def test_dropping_more_never_makes_a_category_worse(case: _Case) -> None:
    schemes, items, given = case
    more = [
        Scheme(
            id=each.id,
            weight=each.weight,
            drop_lowest=each.drop_lowest + 1,
            extra_credit=each.extra_credit,
            missing_as_zero=each.missing_as_zero,
        )
        for each in schemes
    ]

    before, after = totals_of(schemes, items, given, NOW), totals_of(more, items, given, NOW)

    for scheme in schemes:
        least, most = before[scheme.id], after[scheme.id]
        assert (least is None) == (most is None)
        assert least is None or most is None or least <= most


def test_a_third_is_rounded_half_up_once() -> None:
    items = [
        Item(id=UUID(int=n), category_id=None, weight=None, score_maximum=Decimal(3), due_at=None, released=True)
        for n in range(2)
    ]
    given = {items[0].id: Given(state="scored", score_given=Decimal(2), score_maximum=Decimal(3))}

    totals = totals_of([], items, given, NOW)

    assert totals == {WHOLE: Decimal("66.6667")}


def test_the_next_due_date_is_the_first_that_is_to_come() -> None:
    dues = (None, _PAST, _FUTURE + timedelta(days=1), _FUTURE, NOW)
    items = [
        Item(id=UUID(int=n), category_id=None, weight=None, score_maximum=Decimal(1), due_at=due, released=True)
        for n, due in enumerate(dues)
    ]

    assert (next_due(items, NOW), next_due(items[:2], NOW)) == (_FUTURE, None)
