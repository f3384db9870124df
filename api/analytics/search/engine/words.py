"""What somebody asks, as words: plain text in, never the syntax of a query language."""

import re
import unicodedata
from dataclasses import dataclass

MOST_WORDS = 16
"""Those that follow are not looked at."""
_LONGEST_WORD = 64
_SAME = str.maketrans({**dict.fromkeys("“”„«»〝〞", '"'), **dict.fromkeys("‘’ʼ", "'")})
_PART = re.compile(r'(-?)"([^"]*)"|(\S+)')
_DIGIT = re.compile(r"\d")
# Words that say nothing of what is asked for.
_STOP_WORDS = """a an and are as at be but by for from how in is it of on or the to what when where which who why with
der die das den dem des ein eine und oder von zu im für mit auf ist wie was
le la les un une du de et ou en dans pour avec est el los las y o para con es il lo gli e di da per"""
_STOP = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Question:
    """Words that a document should have, phrases that it must have, and phrases that it must not have."""

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.words or self.phrases or self.without)


def read_question(text: str) -> Question:
    """Read `word "a phrase" -word -"a phrase"`; a quotation mark that is left alone means nothing."""
    words: list[str] = []
    phrases: list[str] = []
    without: list[str] = []
    plain = unicodedata.normalize("NFC", text).translate(_SAME)
    for part in _PART.finditer(plain):
        if len(words) + len(phrases) + len(without) >= MOST_WORDS:
            break
        minus, phrase, word = part.groups()
        if phrase is not None:
            (without if minus else phrases).append(spaced(phrase))
        elif len(word) > 1 and word[0] == "-":
            without.append(spaced(word))
        else:
            words += spaced(word).split()
    return Question(
        tuple(_meaningful([word[:_LONGEST_WORD] for word in words])[:MOST_WORDS]),
        tuple(phrase for phrase in phrases if phrase),
        tuple(phrase for phrase in without if phrase),
    )


def is_code(word: str) -> bool:
    """Tell whether a word is a code or a number, which is meant as it is written."""
    return _DIGIT.search(word) is not None


def spaced(text: str) -> str:
    """Replace everything that is no letter, mark or digit by a space: an index keeps nothing else."""
    kept = "".join(each if each == "'" or unicodedata.category(each)[0] in "LMN" else " " for each in text)
    words = (word.strip("'") for word in kept.split())
    return " ".join([word for word in words if word][:MOST_WORDS])


def _meaningful(words: list[str]) -> list[str]:
    return [word for word in words if word.lower() not in _STOP] or words
