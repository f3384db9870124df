"""What rules find in texts: look-alikes and hidden characters, and never a part of an innocent word."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.platform.moderation.contract import ClauseId, EntryRefused, RuleEffect, RuleId, RuleKind
from api.platform.moderation.screening.folding import clean, fold, look
from api.platform.moderation.screening.literals import required
from api.platform.moderation.screening.matching import Matcher, Rule, check_entries
from cluster.base.ids import new_id

_CLAUSE = ClauseId(UUID(int=1))


def matcher(*entries: str, kind: RuleKind = "words", effect: RuleEffect = "refuse", strikes: int = 0) -> Matcher:
    rule = Rule(
        id=RuleId(new_id()),
        clause_id=_CLAUSE,
        clause="Insults",
        kind=kind,
        effect_kind=effect,
        entries=list(entries),
        places=[],
        least_strikes=strikes,
    )
    return Matcher([rule])


def found(rules: Matcher, text: str, language: str | None = None) -> list[str]:
    return [each.matched for each in rules.find({"/text": text}, kind="course", language=language, strikes=0)]


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("You IDIOT!", "IDIOT"),
        ("you \u0456d\u0456\u043et", "\u0456d\u0456\u043et"),
        ("you \u0406DIOT", "\u0406DIOT"),
        ("you \u217bdiot? no: idiot", "idiot"),
        ("\uff49\uff44\uff49\uff4f\uff54", "idiot"),
        ("\U0001d4f2\U0001d4ed\U0001d4f2\U0001d4f8\U0001d4fd", "idiot"),
        ("i\u200bd\u00adi\u2060ot", "idiot"),
        ("i\u0336d\u0336i\u0336o\u0336t\u0336", "i\u0336d\u0336i\u0336o\u0336t\u0336"),
        ("id\u03b9\u03bft", "id\u03b9\u03bft"),
        ("idi0t", "idi0t"),
        ("(idiot)", "idiot"),
        ("un idiot.", "idiot"),
    ],
)
def test_words_are_found_however_they_are_disguised(text: str, matched: str) -> None:
    assert found(matcher("idiot"), text) == [matched]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("horp", "Scunthorpe United"),
        ("ass", "a class of assassins passes"),
        ("bum", "they burn wood"),
        ("modem", "modern times"),
        ("idiot", "idiotic, idiots, vidiot"),
        ("sik", "s\u0131k s\u0131k sorulan sorular"),
        ("schwul", "es ist schw\u00fcl"),
        ("lol", "room 101"),
        (
            "pop",
            "\u0440\u043e\u0440 \u2014 \u044d\u0442\u043e \u0441\u043b\u043e\u0432\u043e \u0438 \u0441\u043b\u043e\u0433",
        ),
        ("\u0905", "\u0905\u0938\u094d\u0938\u0940"),
    ],
)
def test_words_are_not_found_inside_innocent_ones(entry: str, text: str) -> None:
    assert found(matcher(entry), text) == []


def test_a_whole_word_of_another_script_is_caught_among_latin() -> None:
    cyrillic = "\u0441\u043e\u0440\u0435"

    assert found(matcher("cope"), f"you cannot {cyrillic} with this") == [cyrillic]
    assert found(matcher("cope"), cyrillic, "en") == [cyrillic]
    assert found(matcher("cope"), cyrillic, "ru") == []


def test_phrases_and_scripts_without_spaces_are_found() -> None:
    assert found(matcher("buy now"), "Please BUY,   now!") == ["BUY,   now"]
    assert found(matcher("\u5783\u573e"), "\u4f60\u662f\u5783\u573e\u554a") != []
    assert found(matcher("buy now"), "buy it now") == []


def test_patterns_see_through_look_alikes_too() -> None:
    rules = matcher(r"\bcall\s+\d{3}", kind="patterns")

    assert found(rules, "Call 0800") == ["Call 080"]
    assert found(rules, "\u0441\u0430ll 0800") == ["call 080"]
    assert found(rules, "recall 0800") == []
    assert found(matcher(r"\bpot\b", kind="patterns"), "\u0440\u043e\u0442 \u0438 \u043d\u043e\u0441") == []


def test_links_count_with_all_hosts_below_them() -> None:
    rules = matcher("evil.example", kind="links")

    assert found(rules, "see https://www.Evil.example/x and") == ["www.Evil.example"]
    assert found(rules, "see \u0435vil.example") == ["\u0435vil.example"]
    assert found(rules, "notevil.example, evil.example.org") == []
    assert found(matcher("*", kind="links"), "see http://a.example/b") == ["http://a.example/b"]
    assert found(matcher("*", kind="links"), "version 1.2 of a.b") == []


@pytest.mark.parametrize(
    ("kind", "entry", "code"),
    [
        ("words", "!?", "word-empty"),
        ("words", "\u200b", "word-empty"),
        ("words", "x" * 101, "word-too-long"),
        ("patterns", "(", "pattern-invalid"),
        ("patterns", "(?=x)", "pattern-invalid"),
        ("patterns", "a{1001}", "pattern-too-large"),
        ("patterns", "((a{100}){100}){10}", "pattern-too-large"),
        ("patterns", "x" * 501, "pattern-too-long"),
        ("patterns", "x*", "pattern-matches-nothing"),
        ("links", "no host", "host-invalid"),
        ("links", "https://a.example/", "host-invalid"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused_by_name(kind: RuleKind, entry: str, code: str) -> None:
    fine = {"words": "fine", "patterns": "fine+", "links": "fine.example"}[kind]

    with pytest.raises(EntryRefused) as refused:
        check_entries(kind, [fine, entry])

    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/entries/1", code)]


def test_rules_for_authors_with_strikes_spare_others() -> None:
    rules = matcher("spam", strikes=2)

    assert rules.find({"/t": "spam"}, kind="course", language=None, strikes=1) == []
    assert len(rules.find({"/t": "spam"}, kind="course", language=None, strikes=2)) == 1


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        (r"\bBuy\s+(?:the\s+)?watch[a-z]*\b", {"watch"}),
        (r"(?:cheap|free)\d{2,5}", {"cheap", "free"}),
        (r"abc+d", {"abc"}),
        (r"abcd?", {"abc"}),
        (r"abcd{0,3}e", {"abc"}),
        (r"(?:abc)?def", {"def"}),
        (r"a\.b\.c", {"a.b.c"}),
        (r"abc|d", None),
        (r"[abc]{3}", None),
        (r"(?i)abc", None),
        (r"\x61bcd", None),
        (r"[\]abc]+xyz[[:alpha:]]", {"xyz"}),
        (r"\pLabc\p{Greek}", {"abc"}),
        (r"\Qa.b\E", None),
        (r"str\u00e4\u00dfe", None),
    ],
)
def test_a_pattern_is_searched_where_it_can_be_found(pattern: str, literals: set[str] | None) -> None:
    assert required(pattern) == literals


_WORDS = st.lists(st.sampled_from(["abc", "abcd", "bc", "d", "ABCC", "0", " ", "def"]), max_size=8).map("".join)
_PIECES = st.sampled_from(
    ["abc", "b", "c+", "d?", "(?:abc|def)", "(?:d|abc)*", "[ab]", ".", "a{2}", "(?:bc){1,2}", r"\b", "d*?"]
)


@given(pattern=st.lists(_PIECES, min_size=1, max_size=6).map("".join), text=_WORDS)
def test_a_match_contains_what_its_pattern_requires(pattern: str, text: str) -> None:
    match = re.search(pattern, text, re.IGNORECASE)
    literals = required(pattern)

    if match and literals is not None:
        assert any(each in match.group().lower() for each in literals)


@given(st.text())
def test_any_text_is_taken_and_folding_twice_is_once(text: str) -> None:
    cleaned = clean(text)

    for form in ("plain", "skeleton"):
        folded = fold(cleaned, form)
        assert fold(clean(folded), form) == folded
    matcher("idiot", "\u5783\u573e").find({"/t": text}, kind="course", language=None, strikes=0)
    if not any("\ud800" <= each <= "\udfff" for each in text):
        matcher("a+b", kind="patterns").find({"/t": text}, kind="course", language=None, strikes=0)
    look(cleaned)
