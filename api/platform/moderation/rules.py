"""Decisions of moderation that need no database: strikes, time limits, weights, agreement, and the words of the DSA."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from api.platform.moderation.contract import Action, Category

V = TypeVar("V", bound=Hashable)

LEASE = timedelta(minutes=10)
APPEAL_WITHIN = timedelta(days=183)
"""Source: DSA, article 20(1): at least six months."""
HEARING = timedelta(days=7)
"""After this somebody else may take an appeal that its judge did not answer."""
REVIEWED_ONE_OF = 20
SEALED_CATEGORIES: frozenset[Category] = frozenset({"illegal", "self_harm", "minors"})
"""Clauses of these name a crime or danger to life: what they are said of is sealed."""
MAX_OPEN_REPORTS = 100
"""Of one person."""
TO_THINGS: tuple[Action, ...] = ("label", "limit", "remove", "lock")
TO_AUTHORS: tuple[Action, ...] = ("warn", "mute", "ban")
_STRIKES: dict[Action, int] = {"label": 0, "limit": 1, "remove": 1, "lock": 1, "warn": 1, "mute": 2, "ban": 3}


def strikes_of(actions: Collection[Action]) -> int:
    """Return how much a decision counts against an author: as much as the hardest of its actions."""
    return max((_STRIKES[each] for each in actions), default=0)


def in_force(actions: Collection[Action]) -> tuple[Action, ...]:
    """Return what of a decision holds for the thing itself."""
    return tuple(each for each in TO_THINGS if each in actions)


def weight_of(acted: int, kept: int) -> float:
    """Return how much a report weighs, by what became of the earlier ones of its author: 1 for a first one, towards 0 for
    those that were never right."""
    return (1 + acted) / (1 + acted + kept)


def may_appeal(decided_at: datetime, now: datetime) -> bool:
    return now <= decided_at + APPEAL_WITHIN


def is_reviewed(number: int) -> bool:
    """Tell whether a decision is judged once more, by a number that is drawn for it (0 to 2**32 - 1)."""
    return number < 2**32 // REVIEWED_ONE_OF


def alpha(units: Sequence[Sequence[V]]) -> float | None:
    """Return Krippendorff's alpha of nominal judgements, None where nothing can be told: fewer than two of one thing.

    `units`: the judgements of each thing, as many as there are.
    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    total = sum(len(unit) for unit in pairable)
    if total == 0:
        return None
    observed = 0.0
    overall: Counter[V] = Counter()
    for unit in pairable:
        counts = Counter(unit)
        overall.update(counts)
        disagreeing = len(unit) ** 2 - sum(count**2 for count in counts.values())
        observed += disagreeing / (len(unit) - 1)
    expected = (total**2 - sum(count**2 for count in overall.values())) / (total - 1)
    return 1.0 if expected == 0 else 1 - observed / expected


DSA_CATEGORIES: dict[Category, str] = {
    "illegal": "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
    "hate": "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH",
    "harassment": "STATEMENT_CATEGORY_CYBER_VIOLENCE",
    "violence": "STATEMENT_CATEGORY_VIOLENCE",
    "sexual": "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH",
    "self_harm": "STATEMENT_CATEGORY_SELF_HARM",
    "minors": "STATEMENT_CATEGORY_PROTECTION_OF_MINORS",
    "privacy": "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
    "deception": "STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
    "spam": "STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
    "intellectual_property": "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    "cheating": "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
    "other": "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
}
"""Categories of the DSA Transparency Database."""
_VISIBILITY: dict[Action, str] = {
    "remove": "DECISION_VISIBILITY_CONTENT_REMOVED",
    "limit": "DECISION_VISIBILITY_CONTENT_DEMOTED",
    "label": "DECISION_VISIBILITY_CONTENT_LABELLED",
    "lock": "DECISION_VISIBILITY_CONTENT_INTERACTION_RESTRICTED",
    "warn": "DECISION_VISIBILITY_OTHER",
}


def dsa_visibility(actions: Collection[Action]) -> list[str]:
    return [name for action, name in _VISIBILITY.items() if action in actions]


def dsa_account(actions: Collection[Action], until: datetime | None) -> str | None:
    if "ban" in actions and until is None:
        return "DECISION_ACCOUNT_TERMINATED"
    return "DECISION_ACCOUNT_SUSPENDED" if {"ban", "mute"} & set(actions) else None
