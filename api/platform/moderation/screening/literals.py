"""Tell which words a text must contain for a pattern to be found in it, so that few patterns have to be searched.

Source: Cox, Regular Expression Matching with a Trigram Index (2012): what a match must contain.
"""

_SHORTEST = 3
_CLASSES = frozenset("dDwWsS")
_EMPTY = frozenset("bBAz")
_QUANTIFIERS = frozenset("?*+{")


class _Unknown(Exception):
    """The pattern has something that is not read here."""


def required(pattern: str) -> frozenset[str] | None:
    """Return literals of which each match of an RE2 pattern contains at least one, in small letters; None: who knows."""
    try:
        reader = _Reader(pattern)
        found = reader.alternatives()
        return found if reader.at == len(pattern) else None
    except (_Unknown, IndexError):
        return None


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self) -> frozenset[str] | None:
        """Read up to the end or to a closing bracket: one of the alternatives is found, so each must require something."""
        found = [self.sequence()]
        while self._peek() == "|":
            self.at += 1
            found.append(self.sequence())
        known = [each for each in found if each is not None]
        return frozenset().union(*known) if len(known) == len(found) else None

    def sequence(self) -> frozenset[str] | None:
        """Read what follows each other, and return the best of what all of it requires."""
        best: frozenset[str] | None = None
        run = ""
        while self._peek() not in ("", "|", ")"):
            literal, group = self._item()
            least = self._least()
            if literal is not None and least is None:
                run += literal
                continue
            if literal == "" and least is not None:
                continue
            if literal and least:
                # At least once: what stood before it and it itself follow each other.
                best, run = _better(best, run + literal), literal
            else:
                best, run = _better(best, run), ""
            if group is not None and least != 0 and (best is None or _length(group) > _length(best)):
                best = group
        return _better(best, run)

    def _item(self) -> tuple[str | None, frozenset[str] | None]:
        """Read one character, class or group: what it must be, and what a group requires. None: it may be this or that."""
        character = self.pattern[self.at]
        self.at += 1
        match character:
            case "\\":
                return self._escape(), None
            case "[":
                self._class()
                return None, None
            case "(":
                return None, self._group()
            case ".":
                return None, None
            case "^" | "$":
                return "", None
            case _ if character in _QUANTIFIERS:
                raise _Unknown
            case _:
                # A letter beyond ASCII may have more cases than its small one.
                return (character.lower() if character.isascii() else None), None

    def _escape(self) -> str | None:
        character = self.pattern[self.at]
        self.at += 1
        if character in _CLASSES:
            return None
        if character in _EMPTY:
            return ""
        if character in "pP":
            if self.pattern[self.at] == "{":
                self.at = self._index("}")
            self.at += 1
            return None
        if character.isalnum() or not character.isascii():
            raise _Unknown
        return character

    def _class(self) -> None:
        if self.pattern[self.at] == "^":
            self.at += 1
        if self.pattern[self.at] == "]":
            self.at += 1
        while self.pattern[self.at] != "]":
            if self.pattern.startswith("[:", self.at):
                self.at = self._index(":]") + 1
            elif self.pattern[self.at] == "\\":
                self.at += 1
            self.at += 1
        self.at += 1

    def _group(self) -> frozenset[str] | None:
        if self._peek() == "?":
            if not self.pattern.startswith("?:", self.at):
                raise _Unknown
            self.at += 2
        found = self.alternatives()
        if self._peek() != ")":
            raise _Unknown
        self.at += 1
        return found

    def _least(self) -> int | None:
        """Read a quantifier, and return how often what stands before it is there at least; None: there is none."""
        least: int | None = None
        match self._peek():
            case "?" | "*":
                least = 0
            case "+":
                least = 1
            case "{":
                end = self._index("}")
                least = int(self.pattern[self.at + 1 : end].split(",")[0] or "x") if self._is_count(end) else None
                if least is None:
                    raise _Unknown
                self.at = end
            case _:
                return None
        self.at += 1
        if self._peek() == "?":
            self.at += 1
        if self._peek() in ("*", "+", "{", "?"):
            raise _Unknown
        return least

    def _is_count(self, end: int) -> bool:
        return self.pattern[self.at + 1 : end].replace(",", "", 1).isdigit() and self.pattern[self.at + 1] != ","

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _index(self, text: str) -> int:
        found = self.pattern.find(text, self.at)
        if found < 0:
            raise _Unknown
        return found


def _better(best: frozenset[str] | None, run: str) -> frozenset[str] | None:
    if len(run) < _SHORTEST or (best is not None and _length(best) >= len(run)):
        return best
    return frozenset((run,))


def _length(literals: frozenset[str]) -> int:
    return min(map(len, literals))
