"""Lists: keyset cursors that carry their sort and filters, so that a cursor is never used for another list."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, Field

from cluster.base.problems import BadRequest

T = TypeVar("T")
R = TypeVar("R")
MAX_LIMIT = 100
Key = UUID | datetime | date | str | int | float | bool


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None


@dataclass(slots=True)
class PageRequest:
    """Which page was asked for. Call `after` first, read `rows` rows, then `page`."""

    limit: int
    """How many items the page may have."""
    cursor: str | None = None
    _list: str = field(default="", init=False)

    @property
    def rows(self) -> int:
        """How many rows to read: one more than the page shows tells whether there is a next page."""
        return self.limit + 1

    def after(self, *types: type, sort: str = "-id", **filters: Any) -> tuple[Any, ...] | None:
        """Return the keyset values after which the page begins, one per type (default: UUID); None for the first page.

        `sort` and `filters` are what the list is sorted by and restricted to.

        Raises:
            BadRequest: the cursor is none of ours, or of a list with another sort or other filters.
        """
        self._list = fingerprint(sort, filters)
        if self.cursor is None:
            return None
        return decode_cursor(self.cursor, self._list, types or (UUID,))

    def page(
        self,
        rows: Sequence[R],
        limit: int | None = None,
        key: Callable[[R], Any] = lambda row: cast(Any, row).id,
        *,
        render: Callable[[R], T] = lambda row: cast(Any, row),
    ) -> Page[T]:
        """Cut the extra row off and say where the next page begins. `key` gives a row's keyset values."""
        limit = self.limit if limit is None else limit
        shown = rows[:limit]
        next_cursor = None
        if len(rows) > limit:
            last = key(shown[-1])
            next_cursor = encode_cursor(last if isinstance(last, tuple) else (last,), self._list)
        return Page[Any](items=[render(row) for row in shown], next_cursor=next_cursor)


async def paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The maximum number of items.")] = 20,
    cursor: Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the previous page.")] = None,
) -> PageRequest:
    """Read which page is asked for; see `Paging`."""
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(paging)]


def _split(value: Any) -> Any:
    """Take `?id=a,b` and `?id=a&id=b` for the same."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    if isinstance(value, list):
        return [
            part
            for each in cast(list[Any], value)
            for part in (each.split(",") if isinstance(each, str) else [each])
            if part != ""
        ]
    return value


Several = Annotated[Annotated[list[T], Field(max_length=MAX_LIMIT)] | None, BeforeValidator(_split), Query()]
"""A filter that takes several values: `states: Several[State] = None` reads `?states=a,b`."""


def fingerprint(sort: str, filters: dict[str, Any]) -> str:
    """Return a short text that is the same for the same sort and filters."""
    plain = {
        name: sorted(map(str, value)) if isinstance(value, list | set | frozenset | tuple) else str(value)
        for name, value in filters.items()
        if value is not None
    }
    return hashlib.sha256(orjson.dumps([sort, plain], option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def encode_cursor(values: tuple[Key, ...], of_list: str) -> str:
    """Make an opaque cursor of keyset values."""
    plain = [value if isinstance(value, bool | int | float) else _text(value) for value in values]
    return base64.urlsafe_b64encode(orjson.dumps([of_list, *plain])).rstrip(b"=").decode()


def _text(value: UUID | datetime | date | str) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def decode_cursor(cursor: str, of_list: str, types: Sequence[type]) -> tuple[Any, ...]:
    """Read a cursor that `encode_cursor` made for the same list.

    Raises:
        BadRequest: it did not.
    """
    try:
        content = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(content, list) or len(cast(list[Any], content)) != len(types) + 1:
            raise ValueError(cursor)
        found, *values = cast(list[Any], content)
        keys = tuple(_typed(value, kind) for value, kind in zip(values, types, strict=True))
    except (ValueError, TypeError, binascii.Error, OverflowError):
        raise BadRequest("this cursor was not given here: begin without one", pointer="/query/cursor") from None
    if found != of_list:
        raise BadRequest(
            "this cursor belongs to a list with another sort or other filters: begin without one",
            pointer="/query/cursor",
        )
    return keys


def _typed(value: Any, kind: type) -> Key:
    if kind is datetime and isinstance(value, str):
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError(value)
        return instant
    if kind is date and isinstance(value, str):
        return date.fromisoformat(value)
    if kind is UUID and isinstance(value, str):
        return UUID(value)
    if kind is float and type(value) in (float, int):
        return float(value)
    if kind is int and type(value) is int and -(2**63) <= value < 2**63:
        return value
    if kind is bool and type(value) is bool:
        return value
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    raise ValueError(value)
