"""Text that people type, as words; and what they may have meant."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.analytics.search.correction import corrected, edits
from api.analytics.search.engine.form import FORM, FORM_SHA256, form_sha256
from api.analytics.search.engine.words import MOST_WORDS, Question, read_question


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("linear algebra", Question(words=("linear", "algebra"))),
        ('linear "part two" -draft', Question(words=("linear",), phrases=("part two",), without=("draft",))),
        ('-"part two" “part one”', Question(phrases=("part one",), without=("part two",))),
        ("how to be", Question(words=("how", "to", "be"))),
        ("the theory of sets", Question(words=("theory", "sets"))),
        ('title:secret* OR (a && b) ~2 "', Question(words=("title", "secret", "b", "2"))),
        ("don't rock’n’roll", Question(words=("don't", "rock'n'roll"))),
        ("हिन्दी - --", Question(words=("हिन्दी",))),
        ("{}[]", Question()),
    ],
)
def test_a_question_is_words_and_never_syntax(text: str, question: Question) -> None:
    assert read_question(text) == question


@given(st.text(max_size=10_000))
def test_any_text_is_read_as_few_words_of_letters_and_digits(text: str) -> None:
    question = read_question(text)

    parts = [*question.words, *question.phrases, *question.without]
    assert len(question.words) <= MOST_WORDS
    assert not set("".join(parts)) & set('"*:()[]{}~^\\/?&|+!<>\0\n')


@dataclass(frozen=True)
class _Hit:
    title_html: str
    passages: tuple[str, ...] = ()
    matched: frozenset[str] = frozenset()


def test_a_word_is_put_right_by_what_was_found_alone() -> None:
    question = read_question('photosyntesis of algea "in light"')
    hits = [
        _Hit("<mark>Photosynthesis</mark> and light", ("of <mark>algae</mark>",), frozenset({"close 0"})),
        _Hit("<mark>Algae</mark>", (), frozenset({"exact 1"})),
    ]

    assert corrected(question, hits) == 'photosynthesis algea "in light"'
    assert corrected(question, []) is None
    assert corrected(read_question("algae"), [_Hit("<mark>Algae</mark>", (), frozenset({"exact 0 begun"}))]) is None


@pytest.mark.parametrize(
    ("one", "other", "count"), [("algae", "algae", 0), ("algea", "algae", 1), ("alge", "algae", 1), ("cat", "dog", 3)]
)
def test_neighbours_that_are_swapped_are_one_edit(one: str, other: str, count: int) -> None:
    assert edits(one, other) == count


def test_another_form_of_the_index_has_another_number() -> None:
    assert (FORM, form_sha256()) == (2, FORM_SHA256), (
        "the form of the index changed: count FORM up and write its new digest beside it, so that indexes are built anew"
    )
