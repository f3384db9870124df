"""HTTP of line items."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, PlainSerializer

from api.learning.progress.contract import (
    CategoryId,
    CategoryUnknown,
    LineItemHasScores,
    LineItemId,
    LineItemNotFound,
    RunUnknown,
    TooManyLineItems,
)
from api.learning.progress.line_item import logic, rules
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, OrganizationId, Page, Paging, Patch, Router, Several, View

router = Router("progress")


def _maximum(value: Decimal) -> Decimal:
    if not rules.is_maximum(value):
        raise ValueError(rules.MAXIMUM)
    return rules.stored(value)


Number = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""An exact decimal with four places at most, on the wire a JSON number."""
_Label = Annotated[str, Field(min_length=1, max_length=200, examples=["Essay 1"])]
_Maximum = Annotated[
    Decimal,
    Field(gt=0, le=rules.LARGEST, examples=[20], description="Kept with four decimal places, rounded half up"),
    AfterValidator(_maximum),
]
_Released = Annotated[bool, Field(description="Whether learners see their scores")]
_ExtraCredit = Annotated[bool, Field(description="Whether a score may pass the maximum")]


_Weight = Annotated[
    Decimal | None,
    Field(
        ge=0,
        le=rules.LARGEST,
        description="Its share in its category; null: its maximum. Kept with four decimal places",
    ),
    AfterValidator(lambda weight: None if weight is None else rules.stored(weight)),
]


class NewLineItem(Body):
    """A line item to make by hand."""

    run_id: UUID
    label: _Label
    score_maximum: _Maximum
    extra_credit: _ExtraCredit = False
    due_at: AwareDatetime | None = None
    released: _Released = False
    category_id: CategoryId | None = None
    weight: _Weight = None


class LineItemChanges(Patch):
    """Changes of a line item."""

    label: _Label = ""
    score_maximum: _Maximum = Decimal(1)
    extra_credit: _ExtraCredit = False
    due_at: AwareDatetime | None = None
    released: _Released = False
    category_id: CategoryId | None = None
    weight: _Weight = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"released": True}]})


class LineItemView(View):
    """What is graded in a run: a column of its grade book."""

    id: LineItemId
    organization_id: OrganizationId
    course_id: UUID
    run_id: UUID
    label: str
    score_maximum: Number
    extra_credit: bool
    due_at: datetime | None
    released: bool
    category_id: CategoryId | None
    weight: Number | None
    """Its share in its category, against the weights of the others; null: its maximum."""
    service: str | None
    """The service that grades it; null: staff made it by hand."""
    resource_id: UUID | None
    created_at: datetime
    updated_at: datetime


LINE_ITEM = Answer(get=logic.get_line_item, view=LineItemView, etag="version", path="/v1/line-items/{id}")


@router.post("/v1/line-items", status_code=201, raises=(RunUnknown, TooManyLineItems, CategoryUnknown))
async def create_line_item(caller: Caller, new: NewLineItem, response: Response) -> LineItemView:
    """Make a line item by hand. Services make their own."""
    fields = new.model_dump(exclude={"run_id"})
    return await LINE_ITEM.created(response, caller, logic.create_line_item(caller, new.run_id, fields))


@router.get("/v1/line-items")
async def list_line_items(
    caller: Caller, paging: Paging, run_id: UUID, id: Several[LineItemId] = None
) -> Page[LineItemView]:
    """List the line items of a run for its staff, oldest first."""
    after = paging.after(sort="id", run=run_id, id=id)
    items = await logic.list_line_items(
        caller, run_id, ids=id, after=LineItemId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(items, render=LineItemView.of)


@router.get("/v1/line-items/{line_item_id}", raises=(LineItemNotFound,))
async def get_line_item(caller: Caller, line_item_id: LineItemId, response: Response) -> LineItemView:
    """Return a line item to the staff of its run."""
    return LINE_ITEM.show(response, await logic.get_line_item(caller, line_item_id))


@router.patch("/v1/line-items/{line_item_id}", raises=(LineItemNotFound, CategoryUnknown, Stale))
async def change_line_item(
    caller: Caller, line_item_id: LineItemId, changes: LineItemChanges, version: IfMatch, response: Response
) -> LineItemView:
    """Change a line item. `released` shows learners their scores, or hides them."""
    work = logic.change_line_item(caller, line_item_id, changes.changes(), version)
    return await LINE_ITEM.once(response, caller, work)


@router.delete("/v1/line-items/{line_item_id}", status_code=204, raises=(LineItemNotFound, LineItemHasScores))
async def delete_line_item(caller: Caller, line_item_id: LineItemId) -> None:
    """Delete a line item that nobody has a score for, or only withdrawn ones."""
    await logic.delete_line_item(caller, line_item_id)
