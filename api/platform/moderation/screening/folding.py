"""Make texts comparable: compatibility forms, case, and letters that look alike.

Source: UAX 15 (NFKC), UTS 39, section 4 (confusable detection), Unicode's DerivedCoreProperties (Default_Ignorable_Code_Point).
"""

import re
import unicodedata
from functools import cache
from typing import Literal

_IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_MARKS = ((0x300, 0x36F), (0x483, 0x489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF))
"""Marks of Latin, Greek and Cyrillic letters that have no composed form: nobody writes them but to hide a word."""
_GENUINE = range(0xC0, 0x180)
"""Letters of European alphabets: they mean themselves, however much they look like others (Turkish ı is not i)."""
_WITHOUT_SPACES = frozenset(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"))
_HOME = {
    "CYRILLIC": ("be", "bg", "kk", "ky", "mk", "mn", "ru", "sr", "tg", "tt", "uk"),
    "GREEK": ("el",),
    "ARMENIAN": ("hy",),
    "HEBREW": ("he", "yi"),
    "ARABIC": ("ar", "fa", "ps", "ur"),
    "GEORGIAN": ("ka",),
}
_SPACES = re.compile(r"(\s+)")
_ASCII_LETTER = re.compile("[A-Za-z]")
Form = Literal["plain", "skeleton"]


@cache
def _ignored() -> dict[int, None]:
    return dict.fromkeys(code for first, last in _IGNORABLE for code in range(first, last + 1))


def clean(text: str) -> str:
    """Return the text in NFKC, without what is not seen."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.translate(_ignored())).translate(_ignored())


class _Folded(dict[str, str]):
    """What each character is compared as: letters, digits and marks as themselves or nothing, all else as a space."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, character: str) -> str:
        found = _skeleton(character) if self._form == "skeleton" else _plain(character)
        self[character] = found
        return found


def _plain(character: str) -> str:
    return character.casefold() if unicodedata.category(character)[0] in "LMN" else " "


def _skeleton(character: str) -> str:
    code = ord(character)
    if any(first <= code <= last for first, last in _MARKS):
        return ""
    if code in _GENUINE:
        return _plain(character)
    # A capital stands for what its small letter looks like: Н looks like H, which folds to the h that н looks like.
    for each in (character.lower(), character):
        found = _looks_like().get(each)
        if found is not None:
            return found
    return _plain(character)


@cache
def _looks_like() -> dict[str, str]:
    """Return by character the small ASCII letter or digit that it looks like."""
    from confusable_homoglyphs import confusables

    found = {"0": "o", "1": "l", "|": "l"}
    for shown, alike in confusables.confusables_data.items():
        character, like = shown.translate(_ignored()), [each["c"].translate(_ignored()) for each in alike]
        if len(character) != 1 or character.isascii():
            continue
        small = _small_capital(character) or (_small_capital(like[0]) if len(like) == 1 else None)
        prototype = small or (_without_marks(like[0]) if len(like) == 1 else None)
        if prototype is not None and len(prototype) == 1 and prototype.isascii() and prototype.isalnum():
            found[character] = prototype.lower()
    return found


def _without_marks(text: str) -> str:
    return "".join(each for each in text if not unicodedata.combining(each))


def _small_capital(character: str) -> str | None:
    if len(character) != 1:
        return None
    name = unicodedata.name(character, "")
    letter = name.removeprefix("LATIN LETTER SMALL CAPITAL ")
    return letter.lower() if letter != name and len(letter) == 1 else None


_TABLES: dict[Form, _Folded] = {"plain": _Folded("plain"), "skeleton": _Folded("skeleton")}


def fold(cleaned: str, form: Form) -> str:
    """Return the words of a clean text, each between two spaces."""
    table = _TABLES[form]
    return f" {' '.join(''.join([table[each] for each in cleaned]).split())} "


def look(cleaned: str) -> str:
    """Return a clean text with ASCII letters in place of those that look like them, in words that mix both; all else stays."""
    if cleaned.isascii():
        return cleaned
    return "".join([_looked_at(each) for each in _SPACES.split(cleaned)])


def _looked_at(word: str) -> str:
    if word.isascii() or not _ASCII_LETTER.search(word):
        return word
    table = _TABLES["skeleton"]
    return "".join([each if each.isascii() or table[each] == " " else table[each] for each in word])


def words_at(cleaned: str, form: Form, first: int, count: int) -> str:
    """Return the part of a clean text that became the words `first` and so on of `fold`."""
    table = _TABLES[form]
    number, inside, begin = -1, False, 0
    for position, character in enumerate(cleaned):
        folded = table[character]
        if folded == " ":
            if inside and number == first + count - 1:
                return cleaned[begin:position]
            inside = False
        elif folded and not inside:
            inside, number = True, number + 1
            if number == first:
                begin = position
    return cleaned[begin:]


def is_spaced(character: str) -> bool:
    """Tell whether words of this character's script stand between spaces."""
    return unicodedata.name(character, "").split(" ", 1)[0] not in _WITHOUT_SPACES


def is_disguised(word: str, rest: str, language: str | None) -> bool:
    """Tell whether a word that only looks like a listed one was written to look so.

    It was not when all its letters are of one script in which the text is written anyway: Russian words look like others too.
    Digits alone are a number.
    """
    scripts = {_script(each) for each in word if each.isalpha()}
    if not scripts:
        return False
    only = next(iter(scripts))
    if len(scripts) > 1 or only == "LATIN":
        return True
    spoken = (language or "").split("-", 1)[0].lower()
    if spoken in _HOME.get(only, ()):
        return False
    around = [_script(each) for each in rest[:2000] if each.isalpha()]
    return around.count(only) - sum(each.isalpha() for each in word) <= len(around) // 3


def _script(character: str) -> str:
    return unicodedata.name(character, "").split(" ", 1)[0]
