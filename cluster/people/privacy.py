"""What a service keeps about people: declared beside the tables, read by exports, erasures and the record of processing.

Source: GDPR, articles 5(1)(e), 15, 17 and 30.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """One group of columns with personal data. A service's `privacy.py` holds them in `PERSONAL_DATA`."""

    table: str
    """Schema-qualified."""
    person: str
    """The column with the id of the person it is about."""
    columns: tuple[str, ...]
    purpose: str
    kept: str
    """How long, in words."""
    erasure: Literal["delete", "clear", "keep"]
    """`delete` the rows, `clear` the columns, or `keep` on the ground named in `ground`."""
    ground: str | None = None
