"""How scores make totals: exact fractions, rounded once, at the end.

A line item counts with its score over its maximum. One that is excused or not graded yet does not count; one without a score
counts as zero where its category says so, once it is due. A category is the mean of its line items by weight (by default their
maximum), without the lowest `drop_lowest`, but never without all. The run is the mean of its categories by weight; a category of
extra credit adds to it and is no part of what is to be reached. In a run without categories all line items are one category; in
one with categories a line item without one does not count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from api.learning.progress.contract import ResultState

WHOLE = UUID(int=0)
"""Stands for the run where a category is named (the nil UUID, RFC 9562)."""
_LARGEST = 10**12 - 1
"""What numeric(12, 4) holds, in its last places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line item, as far as totals ask."""

    id: UUID
    category_id: UUID | None
    weight: Decimal | None
    score_maximum: Decimal
    due_at: datetime | None
    released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A category, as far as totals ask."""

    id: UUID
    weight: Decimal
    drop_lowest: int
    extra_credit: bool
    missing_as_zero: bool


_ALL = Scheme(id=WHOLE, weight=Decimal(1), drop_lowest=0, extra_credit=False, missing_as_zero=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a learner has for a line item."""

    state: ResultState
    score_given: Decimal | None
    score_maximum: Decimal | None


def totals_of(
    schemes: Sequence[Scheme], items: Iterable[Item], given: Mapping[UUID, Given], now: datetime
) -> dict[UUID, Decimal | None]:
    """Return the per cent of each category, and of the run under `WHOLE`; None where nothing counts."""
    groups: dict[UUID, list[Item]] = {each.id: [] for each in schemes}
    if not schemes:
        groups[WHOLE] = []
    for item in items:
        group = groups.get(item.category_id or WHOLE) if schemes else groups[WHOLE]
        if group is not None:
            group.append(item)
    parts = {each.id: _mean(each, groups[each.id], given, now) for each in schemes or (_ALL,)}
    found = {id: _percent(part) for id, part in parts.items()}
    if schemes:
        found[WHOLE] = _percent(_whole(schemes, parts))
    return found


def _mean(scheme: Scheme, items: Iterable[Item], given: Mapping[UUID, Given], now: datetime) -> Fraction | None:
    """Return the mean of the line items that count, without the lowest."""
    counted: list[tuple[Fraction, UUID, Fraction]] = []
    for item in items:
        ratio = _ratio(scheme, item, given.get(item.id), now)
        weight = Fraction(item.score_maximum if item.weight is None else item.weight)
        if ratio is not None and weight > 0:
            counted.append((ratio, item.id, weight))
    if not counted:
        return None
    counted.sort()
    kept = counted[min(scheme.drop_lowest, len(counted) - 1) :]
    return sum((ratio * weight for ratio, _, weight in kept), Fraction(0)) / sum(weight for _, _, weight in kept)


def _ratio(scheme: Scheme, item: Item, given: Given | None, now: datetime) -> Fraction | None:
    state = "withdrawn" if given is None else given.state
    match state:
        case "scored":
            assert given is not None, "what is scored was given"
            assert given.score_given is not None, "what is scored has a score"
            assert given.score_maximum is not None, "a score has a maximum"
            return Fraction(given.score_given) / Fraction(given.score_maximum)
        case "excused" | "pending":
            return None
        case "withdrawn":
            is_due = item.due_at is not None and item.due_at <= now
            return Fraction(0) if scheme.missing_as_zero and is_due else None


def _whole(schemes: Iterable[Scheme], parts: Mapping[UUID, Fraction | None]) -> Fraction | None:
    reached, possible = Fraction(0), Fraction(0)
    for scheme in schemes:
        part = parts[scheme.id]
        if part is None:
            continue
        reached += part * Fraction(scheme.weight)
        possible += 0 if scheme.extra_credit else Fraction(scheme.weight)
    return reached / possible if possible > 0 else None


def _percent(value: Fraction | None) -> Decimal | None:
    """Return per cent with four places, rounded half up."""
    if value is None:
        return None
    places = (value * 2_000_000 + 1) // 2
    return Decimal(min(places, _LARGEST)).scaleb(-4)


def next_due(items: Iterable[Item], now: datetime) -> datetime | None:
    """Return when the next line item is due: until then totals stay as they are."""
    return min((item.due_at for item in items if item.due_at is not None and item.due_at > now), default=None)
