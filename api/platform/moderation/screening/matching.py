"""Find listed words, patterns and addresses in texts. Pure: rules and texts in, findings out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from api.platform.moderation.contract import ClauseId, EntryRefused, Finding, RuleEffect, RuleId, RuleKind
from api.platform.moderation.screening.folding import Form, clean, fold, is_disguised, is_spaced, look, words_at
from api.platform.moderation.screening.literals import required
from cluster.base.problems import FieldError

MAX_MATCHED_CHARS = 100
MAX_WORD_CHARS = 100
MAX_PATTERN_CHARS = 500
_PATTERN_BYTES = 128 * 1024
"""Of a compiled pattern."""
_OWN_BYTES = 8 * 1024 * 1024
_SET_BYTES = 64 * 1024 * 1024
_HOST = r"(?:[\p{L}\p{N}][\p{L}\p{N}-]*\.)+\p{L}{2,24}"
_ADDRESS = r"(?:https?://|www\.)[^\s<>]{3,}"
_ANY_LINK = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An active rule as it is matched."""

    id: RuleId
    clause_id: ClauseId
    clause: str
    kind: RuleKind
    effect_kind: RuleEffect
    entries: list[str]
    places: list[str]
    least_strikes: int


@dataclass(frozen=True, slots=True)
class _Hit:
    rule: Rule
    matched: str


class Matcher:
    """All rules of one organization, or of the platform. Making one takes time: make it beside the event loop."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.weight = sum(len(each) for rule in rules for each in rule.entries) + 1
        self._words = _Words([(rule, each) for rule in rules if rule.kind == "words" for each in rule.entries])
        self._patterns = _Patterns([(rule, each) for rule in rules if rule.kind == "patterns" for each in rule.entries])
        self._links = _Links([(rule, each) for rule in rules if rule.kind == "links" for each in rule.entries])
        self.is_empty = not rules

    def find(self, texts: Mapping[str, str], *, kind: str, language: str | None, strikes: int) -> list[Finding]:
        """Return what the rules find in texts that are to stand in a thing of this kind: once for each rule and text."""
        found: dict[tuple[str, UUID], Finding] = {}
        for pointer, text in texts.items():
            cleaned = clean(text)
            for hit in self._hits(cleaned, language):
                rule = hit.rule
                if (rule.places and kind not in rule.places) or strikes < rule.least_strikes:
                    continue
                found.setdefault(
                    (pointer, rule.id),
                    Finding(
                        pointer=pointer,
                        effect=rule.effect_kind,
                        rule_id=rule.id,
                        clause_id=rule.clause_id,
                        clause=rule.clause,
                        matched=hit.matched[:MAX_MATCHED_CHARS],
                    ),
                )
        return list(found.values())

    def _hits(self, cleaned: str, language: str | None) -> Iterator[_Hit]:
        yield from self._words.find(cleaned, language)
        yield from self._patterns.find(cleaned)
        yield from self._links.find(cleaned)


class _Words:
    """Whole words: an entry stands between spaces where its script writes them, so that a part of a word never counts."""

    def __init__(self, entries: Sequence[tuple[Rule, str]]) -> None:
        self._rules = [rule for rule, _ in entries]
        self._automata: dict[Form, Any] = {}
        self._counts = [len(fold(clean(entry), "plain").split()) for _, entry in entries]
        if entries:
            import ahocorasick_rs

            for form in ("plain", "skeleton"):
                self._automata[form] = ahocorasick_rs.AhoCorasick([_bounded(entry, form) for _, entry in entries])

    def find(self, cleaned: str, language: str | None) -> Iterator[_Hit]:
        if not self._automata:
            return
        plain, skeleton = fold(cleaned, "plain"), fold(cleaned, "skeleton")
        yield from self._find(cleaned, plain, "plain", None)
        if skeleton != plain:
            yield from self._find(cleaned, skeleton, "skeleton", language)

    def _find(self, cleaned: str, folded: str, form: Form, language: str | None) -> Iterator[_Hit]:
        seen: set[UUID] = set()
        for index, start, _ in self._automata[form].find_matches_as_indexes(folded, overlapping=True):
            rule = self._rules[index]
            if rule.id in seen:
                continue
            first = folded.count(" ", 0, start + 1) - 1
            word = words_at(cleaned, form, first, self._counts[index])
            if form == "plain" or is_disguised(word, cleaned, language):
                seen.add(rule.id)
                yield _Hit(rule, word)


def _bounded(entry: str, form: Form) -> str:
    folded = fold(clean(entry), form)
    return folded[0 if is_spaced(folded[1]) else 1 : None if is_spaced(folded[-2]) else -1]


class _Patterns:
    """RE2 patterns. One that needs a literal is searched where the text has it; the others all together, in one pass."""

    def __init__(self, entries: Sequence[tuple[Rule, str]]) -> None:
        self._entries = entries
        self._compiled = [_compiled(pattern) for _, pattern in entries]
        self._together: list[int] = []
        self._needing: list[int] = []
        literals: list[str] = []
        for number, (_, pattern) in enumerate(entries):
            needed = required(pattern)
            if needed is None:
                self._together.append(number)
            else:
                literals += needed
                self._needing += [number] * len(needed)
        self._automaton: Any = None
        self._set: Any = None
        if literals:
            import ahocorasick_rs

            self._automaton = ahocorasick_rs.AhoCorasick(literals)
        if self._together:
            import re2

            self._set = re2.Set.SearchSet(_options(_SET_BYTES))
            for number in self._together:
                self._set.Add(entries[number][1])
            self._set.Compile()

    def find(self, cleaned: str) -> Iterator[_Hit]:
        if not self._entries:
            return
        looks = look(cleaned)
        for text in (cleaned,) if looks == cleaned else (cleaned, looks):
            for number in sorted(self._candidates(text)):
                found = self._compiled[number].search(text)
                if found:
                    yield _Hit(self._entries[number][0], found.group())

    def _candidates(self, text: str) -> set[int]:
        found: set[int] = set()
        if self._automaton is not None:
            matches = self._automaton.find_matches_as_indexes(text.lower(), overlapping=True)
            found.update(self._needing[match[0]] for match in matches)
        if self._set is not None:
            found.update(self._together[index] for index in self._set.Match(text) or ())
        return found


class _Links:
    """Addresses by their host: a listed one counts with all hosts below it, and `*` is every link."""

    def __init__(self, entries: Sequence[tuple[Rule, str]]) -> None:
        self._hosts: dict[str, list[Rule]] = {}
        for rule, entry in entries:
            self._hosts.setdefault(_host(entry), []).append(rule)

    def find(self, cleaned: str) -> Iterator[_Hit]:
        if not self._hosts:
            return
        if _ANY_LINK in self._hosts:
            link = _compiled(_ADDRESS, _OWN_BYTES).search(cleaned)
            if link:
                yield from (_Hit(rule, link.group()) for rule in self._hosts[_ANY_LINK])
        for found in _compiled(_HOST, _OWN_BYTES).finditer(cleaned):
            labels = _host(found.group()).split(".")
            for start in range(len(labels) - 1):
                for rule in self._hosts.get(".".join(labels[start:]), ()):
                    yield _Hit(rule, found.group())


def _host(text: str) -> str:
    return look(clean(text)).lower().rstrip(".")


@cache
def _options(max_mem: int) -> Any:
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = max_mem
    return options


def _compiled(pattern: str, max_mem: int = _PATTERN_BYTES) -> Any:
    """Compile a pattern; re2 keeps the last 128.

    Raises:
        re2.error
    """
    import re2

    return re2.compile(pattern, _options(max_mem))


def check_entries(kind: RuleKind, entries: Collection[str]) -> None:
    """Check that a rule can be made of these.

    Raises:
        EntryRefused: names each entry that cannot be used, and why.
    """
    errors = [
        FieldError(f"/entries/{number}", code, detail)
        for number, entry in enumerate(entries)
        for code, detail in _faults(kind, entry)
    ]
    if errors:
        raise EntryRefused(errors=tuple(errors[:100]))


def _faults(kind: RuleKind, entry: str) -> Iterator[tuple[str, str]]:
    match kind:
        case "words":
            if len(entry) > MAX_WORD_CHARS:
                yield "word-too-long", f"a word or phrase has at most {MAX_WORD_CHARS} characters"
            elif any(not fold(clean(entry), form).strip() for form in ("plain", "skeleton")):
                yield "word-empty", "write letters or digits"
        case "links":
            host = _compiled(_HOST, _OWN_BYTES).fullmatch(clean(entry))
            if entry != _ANY_LINK and not host:
                yield "host-invalid", "write the name of a host, as example.com, or * for every link"
        case "patterns":
            yield from _faults_of_pattern(entry)


def _faults_of_pattern(pattern: str) -> Iterator[tuple[str, str]]:
    import re2

    if len(pattern) > MAX_PATTERN_CHARS:
        yield "pattern-too-long", f"a pattern has at most {MAX_PATTERN_CHARS} characters; make two of it"
        return
    try:
        compiled = _compiled(pattern)
    except re2.error as error:
        text = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        too_large = "too large" in text or "repetition size" in text
        yield (
            "pattern-too-large" if too_large else "pattern-invalid",
            f"{text}; RE2 has no look-around and no back-references, and repeats at most 1,000 times",
        )
        return
    if compiled.search(""):
        yield "pattern-matches-nothing", "the pattern is found in an empty text, so it would be found in every text"
