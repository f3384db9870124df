"""Words that mean the same in an organization: a question asks for them too, so no index is made anew for them."""

import unicodedata
from collections.abc import Mapping, Sequence

from api.analytics.search.engine.words import Question, spaced

Synonyms = Mapping[int, Sequence[str]]
"""By the number of the word in its question: words and phrases that mean the same."""
MOST = 10
"""Of each word."""


def synonyms_of(question: Question, groups: Sequence[str]) -> Synonyms:
    """Return what else to ask for; each of `groups` is a line of words and phrases, with commas between."""
    meanings = [[term for part in group.split(",") if (term := spaced(part))] for group in groups]
    found: dict[int, list[str]] = {}
    for number, word in enumerate(question.words):
        same = [terms for terms in meanings if plain(word) in map(plain, terms)]
        others = dict.fromkeys(term for terms in same for term in terms if plain(term) != plain(word))
        if others:
            found[number] = list(others)[:MOST]
    return found


def plain(text: str) -> str:
    """Return a text without capitals and accents, as fields that are analyzed alike for all languages have it."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
