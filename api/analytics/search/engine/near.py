"""Words of the index that are near those somebody typed: they are looked up once, then asked for like any other word."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.analytics.search.engine.words import Question, is_code
from cluster.data.opensearch import opensearch

MOST = 6
"""Of each word."""
_FROM_LETTERS, _TWO_EDITS_FROM = 4, 8
_FIELDS = ("title", "text")


@dataclass(frozen=True, slots=True)
class NearWord:
    word: str
    nearness: float
    """1 would be the same word."""


Near = Mapping[int, Sequence[NearWord]]
"""By the number of the word in its question."""


def forgivable(question: Question) -> set[int]:
    """Return which words of a question may have typos: no codes and numbers, and no short ones."""
    return {number for number, word in enumerate(question.words) if len(word) >= _FROM_LETTERS and not is_code(word)}


async def words_near(indexes: str, question: Question, numbers: Collection[int]) -> Near:
    """Return words within an edit of these, within two of long ones.

    They are words of all documents: whoever asks is shown those alone that stand in what they may see.
    """
    wanted = sorted(numbers)
    if not wanted:
        return {}
    suggest = {
        f"{number} {field}": {"text": question.words[number], "term": _term(field, question.words[number])}
        for number in wanted
        for field in _FIELDS
    }
    answer: Any = await opensearch().search(
        index=indexes, body={"size": 0, "suggest": suggest}, params={"ignore_unavailable": "true", "request_timeout": 5}
    )
    told = answer.get("suggest", {})
    found = {number: _best([told.get(f"{number} {field}", ()) for field in _FIELDS]) for number in wanted}
    return {number: words for number, words in found.items() if words}


def _term(field: str, word: str) -> dict[str, Any]:
    return {
        "field": field,
        "suggest_mode": "always",
        "max_edits": 2 if len(word) >= _TWO_EDITS_FROM else 1,
        "prefix_length": 1,
        "min_word_length": _FROM_LETTERS,
        "size": MOST,
        # Frequent words have neighbours too.
        "max_term_freq": 1_000_000_000,
    }


def _best(told: Sequence[Sequence[Mapping[str, Any]]]) -> list[NearWord]:
    near: dict[str, float] = {}
    for field in told:
        for token in field:
            for option in token["options"]:
                near[option["text"]] = max(near.get(option["text"], 0.0), option["score"])
    best = sorted(near.items(), key=lambda each: (-each[1], each[0]))
    return [NearWord(word, nearness) for word, nearness in best[:MOST]]
