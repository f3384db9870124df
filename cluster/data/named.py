"""Named parameters: `$course_id` in a statement instead of `$1`, so that no argument is counted by hand.

A statement is resolved once to PostgreSQL's `$n`. A name may stand in it several times. Its value comes from a keyword
argument, or from the field of a dataclass that is passed whole.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

_NAME = re.compile(r"\$([a-z_][a-z0-9_]*)")


@cache
def resolve(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return the statement with `$n` in place of names, and the names in the order of `n`.

    Raises:
        ValueError: it mixes names and numbers.
    """
    names = tuple(dict.fromkeys(_NAME.findall(sql)))
    if names and re.search(r"\$[0-9]", sql):
        raise ValueError(f"use names or numbers in one statement, not both: {sql}")
    return _NAME.sub(lambda match: f"${names.index(match[1]) + 1}", sql), names


def bind(sql: str, sources: Sequence[object], named: Mapping[str, object]) -> tuple[str, Sequence[object]]:
    """Return the statement as PostgreSQL takes it, with its arguments.

    `sources` are dataclasses whose fields count as names, or, where the statement has numbers, the arguments themselves.

    Raises:
        TypeError: a name has no value, or a keyword argument has no name in the statement.
    """
    text, names = resolve(sql)
    if not names and not named:
        return text, sources
    if unknown := named.keys() - set(names):
        raise TypeError(f"the statement does not name {', '.join(sorted(unknown))}: {sql}")
    return text, [named[name] if name in named else _field(name, sources, sql) for name in names]


def _field(name: str, sources: Sequence[object], sql: str) -> object:
    for source in sources:
        if name in getattr(type(source), "__dataclass_fields__", ()):
            return getattr(source, name)
    raise TypeError(f"${name} has no value: {sql}")
