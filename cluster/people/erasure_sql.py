"""The statements that erase and export, made of declarations: identifiers come from the code, values are arguments.

`$1` is the person, `$2` the organization in the statements for one organization.
"""

import re
from dataclasses import dataclass

from cluster.people.privacy import Erasure, PersonalData

LOT = 1000
"""Rows of one transaction, so that no erasure holds locks for long."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Statements:
    """What is executed for one declaration; None: nothing."""

    entry: PersonalData
    erase: str | None
    """Erases at most `LOT` rows; repeat it until it touches none."""
    count_kept: str | None
    export: str
    """Returns at most `LOT` rows as JSON behind the place in the last argument; see `cluster.people.export`."""


def statements(entry: PersonalData, *, for_organization: bool) -> Statements | None:
    """Make the statements of a declaration; None when its rows are in no organization and one asks.

    Raises:
        ValueError: the declaration holds what is no identifier.
    """
    table, person = _table(entry.table), _column(entry.person)
    about = f"{person} = $1"
    if for_organization:
        if entry.organization is None:
            return None
        about += f" AND {_column(entry.organization)} = $2"
    let_go = entry.let_go if for_organization else None
    columns = ", ".join(_column(name) for name in entry.columns if name not in entry.secret)
    place = "$3" if for_organization else "$2"
    return Statements(
        entry=entry,
        erase=_erase(entry, let_go or entry.erasure, table, _unless_kept(entry, about, let_go)),
        count_kept=None if entry.ground is None else f"SELECT count(*) FROM {table} WHERE {about}",  # noqa: S608
        export=(
            f"SELECT ctid::text AS place, to_jsonb(shown) - 'ctid' AS shown FROM (SELECT ctid, {columns} FROM {table} "  # noqa: S608
            f"WHERE {about} AND ctid > {place}::text::tid ORDER BY ctid LIMIT {LOT}) AS shown"
        ),
    )


def _unless_kept(entry: PersonalData, about: str, let_go: Erasure | None) -> str:
    return about if entry.keep_where is None or let_go is not None else f"{about} AND NOT ({entry.keep_where})"


def _erase(entry: PersonalData, erasure: Erasure, table: str, where: str) -> str | None:
    if erasure == "keep":
        return None
    if erasure == "delete":
        change = f"DELETE FROM {table}"  # noqa: S608
    else:
        cleared = {_column(name): _literal(value) for name, value in entry.clear_to.items()}
        change = f"UPDATE {table} SET {', '.join(f'{name} = {value}' for name, value in cleared.items())}"  # noqa: S608
        where += f" AND ({' OR '.join(f'{name} IS DISTINCT FROM {value}' for name, value in cleared.items())})"
    # Found first and by ctid, because DELETE and UPDATE know no LIMIT. A row that moves meanwhile is found by the next lot.
    return f"{change} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {where} LIMIT {LOT} FOR UPDATE))"  # noqa: S608


def _table(name: str) -> str:
    schema, _, table = name.partition(".")
    return f"{_column(schema)}.{_column(table)}"


def _column(name: str) -> str:
    if _IDENTIFIER.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a table or column")
    return f'"{name}"'


def _literal(value: str | bool | None) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case str():
            if "'" in value or "\\" in value:
                raise ValueError(f"{value!r} is not plain enough for a statement")
            return f"'{value}'"
