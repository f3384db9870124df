"""What a service declares to have many rows done: a model, a natural key, a plan, and how to take rows back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel

from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import Conflict, Problem
from cluster.data import Transaction

R = TypeVar("R", bound=BaseModel)


Phase = Literal["check", "apply", "take_back", "over"]
RowState = Literal["created", "changed", "unchanged", "failed", "taken_back", "kept"]


class RowsRefused(Conflict):
    """Some rows of an `all_or_nothing` request fail; the report names them."""

    title = "Nothing was done, because some rows cannot be"


class CannotBeUndone(Conflict):
    title = "This operation cannot be undone any more"


class ChangedSince(Conflict):
    """An undo leaves a row as it is."""

    title = "Somebody changed this since"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkJob:
    """Base of the arguments of a service's bulk job."""

    operation_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """One request for many rows."""

    operation_id: UUID
    job_kind: str
    org_id: OrgId
    context: dict[str, Any]
    """What holds for every row, as the service's own values."""
    all_or_nothing: bool
    dry_run: bool
    items: list[dict[str, Any]] | None
    bucket: str | None
    object_key: str | None
    phase: Phase
    position: int
    undoing: bool
    """Somebody asked to undo it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one row. `before` and `after` are what taking it back needs to know."""

    state: Literal["created", "changed", "unchanged", "failed"]
    id: UUID | None = None
    user_id: UserId | None = None
    """The person that the row is about, so that an erasure finds it."""
    problem: Problem | None = None
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the report. `problem` is a problem document (RFC 9457)."""

    row: int
    key: str
    state: RowState
    id: UUID | None
    problem: dict[str, Any] | None
    before: Any
    after: Any


Apply = Callable[[Transaction], Awaitable[Sequence[Outcome]]]
TakeBack = Callable[[Transaction], Awaitable[Mapping[int, Problem]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkWork(Generic[R]):
    """How a service does one kind of row."""

    row: type[R]
    """The model of a row; its fields are the columns of a file."""
    key: Callable[[R], str]
    """The natural key: a second row with the same one is refused."""
    plan: Callable[[Principal, Bulk, Sequence[R]], Awaitable[Apply]]
    """Ask other services about a batch, and return what does it in a transaction: an outcome for each row, none raised.
    A problem that it raises ends the operation: a right was taken away, or the place of the rows is gone."""
    plan_back: Callable[[Principal, Bulk, Sequence[Line]], Awaitable[TakeBack]]
    """Ask other services about rows to undo, and return what undoes them in a transaction. It returns the rows that stay as
    they are, by number, each with the reason, as `ChangedSince`."""
