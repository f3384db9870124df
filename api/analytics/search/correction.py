"""Did you mean: made of words in documents that were found, so that it tells nobody of what they may not see."""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from api.analytics.search.engine.question import EXACT
from api.analytics.search.engine.synonyms import plain
from api.analytics.search.engine.words import Question

_MARKED = re.compile(r"<mark>(.*?)</mark>")
_MOST_EDITS = 2


class Match(Protocol):
    """What was found: its marked HTML, and which clauses matched."""

    @property
    def title_html(self) -> str: ...
    @property
    def passages(self) -> tuple[str, ...]: ...
    @property
    def matched(self) -> frozenset[str]: ...


def corrected(question: Question, hits: Sequence[Match]) -> str | None:
    """Return the question with those words put right that no document has; None when there are none."""
    exact = {name.split()[1] for hit in hits for name in hit.matched if name.startswith(EXACT)}
    marked = [plain(word) for hit in hits for html in (hit.title_html, *hit.passages) for word in _MARKED.findall(html)]
    words = [
        word if str(number) in exact else _closest(plain(word), marked) or word
        for number, word in enumerate(question.words)
    ]
    if not hits or tuple(words) == question.words:
        return None
    return " ".join(
        [*words, *(f'"{phrase}"' for phrase in question.phrases), *(f'-"{each}"' for each in question.without)]
    )


def _closest(word: str, others: Iterable[str]) -> str | None:
    """Return the nearest of these words within two edits, the first of several."""
    near = [(edits(word, other), place, other) for place, other in enumerate(dict.fromkeys(others))]
    best = min(near, default=(_MOST_EDITS + 1, 0, ""))
    return best[2] if 0 < best[0] <= _MOST_EDITS else None


def edits(one: str, other: str) -> int:
    """Count insertions, deletions, replacements and swaps of neighbours that make one word of another."""
    if abs(len(one) - len(other)) > _MOST_EDITS:
        return _MOST_EDITS + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, now[column - 1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], wanted):
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        before, last = last, now
    return last[-1]
