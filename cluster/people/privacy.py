"""What a service keeps about people: declared beside the tables, executed by `cluster.people.erasure` and by exports.

Source: GDPR, articles 5(1)(e), 15, 17, 20 and 30.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cluster.base.registry import room

Erasure = Literal["delete", "clear", "keep"]
Merge = Literal["move", "move_unless_present", "delete"]
ERASED = "00000000-0000-0000-0000-000000000000"
"""Stands where a column must name a person, and the person was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """One group of columns with personal data. A service's `privacy.py` holds them in `PERSONAL_DATA`."""

    table: str
    """Schema-qualified, without quotes."""
    person: str
    """The column with the id of the person it is about. Each column that can name a person has its own entry."""
    columns: tuple[str, ...]
    purpose: str
    kept: str
    """How long, in words."""
    erasure: Erasure
    """When the person leaves: `delete` the rows, `clear` the columns in `clear_to`, or `keep` on the ground in `ground`."""
    merge: Merge
    """When two accounts become one. `move`: the surviving account gets the rows; `move_unless_present`: only where it has
    none of its own; `delete`: the rows go with the account."""
    ground: str | None = None
    keep_where: str | None = None
    """A constant SQL condition: rows that meet it are kept on `ground` when the person leaves."""
    organization: str | None = None
    """The column with the organization's id; None: the rows are in no organization, and its erasures do not touch them."""
    let_go: Erasure | None = None
    """When the organization lets the person go, in rows of its own; None: what `erasure` says, with the same exceptions."""
    clear_to: Mapping[str, str | bool | None] = field(default_factory=dict[str, str | bool | None])
    """What `clear` writes. It ends what made the row match, or changes the row visibly: a row is cleared once."""
    secret: tuple[str, ...] = ()
    """Columns that an export leaves out: they open accounts, and tell the person nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeText:
    """Columns that people fill in freely, or documents, that are about no one person. A service's `FREE_TEXT` holds them.

    Somebody may be mentioned there, and no statement can tell: an erasure leaves them, and its report says so.
    """

    table: str
    columns: tuple[str, ...]
    holds: str


def personal_data(service: str) -> tuple[PersonalData, ...]:
    """Return what a service declares."""
    return getattr(room(service, "privacy"), "PERSONAL_DATA", ())


def free_text(service: str) -> tuple[FreeText, ...]:
    return getattr(room(service, "privacy"), "FREE_TEXT", ())
