"""HTTP of categories."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import AfterValidator, ConfigDict, Field

from api.learning.progress.category import logic
from api.learning.progress.contract import (
    CategoryId,
    CategoryInUse,
    CategoryNotFound,
    RunUnknown,
    TooManyCategories,
)
from api.learning.progress.line_item.routes import Number
from api.learning.progress.line_item.rules import LARGEST, stored
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, OrganizationId, Page, Paging, Patch, Router, Several, View

router = Router("progress")

_Name = Annotated[str, Field(min_length=1, max_length=200, examples=["Homework"])]
_Weight = Annotated[
    Decimal,
    Field(ge=0, le=LARGEST, examples=[40], description="Its share in the total, against the weights of the others"),
    AfterValidator(stored),
]
_DropLowest = Annotated[int, Field(ge=0, le=100, description="How many of its lowest scores do not count")]
_ExtraCredit = Annotated[bool, Field(description="It adds to the total and is no part of what is to be reached")]
_MissingAsZero = Annotated[bool, Field(description="What has no score counts as zero once it is due")]


class NewCategory(Body):
    """A category of a run."""

    run_id: UUID
    name: _Name
    weight: _Weight
    drop_lowest: _DropLowest = 0
    extra_credit: _ExtraCredit = False
    missing_as_zero: _MissingAsZero = False


class CategoryChanges(Patch):
    """Changes of a category."""

    name: _Name = ""
    weight: _Weight = Decimal(0)
    drop_lowest: _DropLowest = 0
    extra_credit: _ExtraCredit = False
    missing_as_zero: _MissingAsZero = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"drop_lowest": 1}]})


class CategoryView(View):
    """How some of the line items of a run make its total."""

    id: CategoryId
    organization_id: OrganizationId
    course_id: UUID
    run_id: UUID
    name: str
    weight: Number
    drop_lowest: int
    extra_credit: bool
    missing_as_zero: bool
    created_at: datetime
    updated_at: datetime


CATEGORY = Answer(get=logic.get_category, view=CategoryView, etag="version", path="/v1/grade-categories/{id}")


@router.post("/v1/grade-categories", status_code=201, raises=(RunUnknown, TooManyCategories))
async def create_category(caller: Caller, new: NewCategory, response: Response) -> CategoryView:
    """Make a category of a run. Line items name it in `category_id`."""
    fields = new.model_dump(exclude={"run_id"})
    return await CATEGORY.created(response, caller, logic.create_category(caller, new.run_id, fields))


@router.get("/v1/grade-categories")
async def list_categories(
    caller: Caller, paging: Paging, run_id: UUID, id: Several[CategoryId] = None
) -> Page[CategoryView]:
    """List the categories of a run for its staff, oldest first."""
    after = paging.after(sort="id", run=run_id, id=id)
    found = await logic.list_categories(
        caller, run_id, ids=id, after=CategoryId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(found, render=CategoryView.of)


@router.get("/v1/grade-categories/{category_id}", raises=(CategoryNotFound,))
async def get_category(caller: Caller, category_id: CategoryId, response: Response) -> CategoryView:
    """Return a category to the staff of its run."""
    return CATEGORY.show(response, await logic.get_category(caller, category_id))


@router.patch("/v1/grade-categories/{category_id}", raises=(CategoryNotFound, Stale))
async def change_category(
    caller: Caller, category_id: CategoryId, changes: CategoryChanges, version: IfMatch, response: Response
) -> CategoryView:
    """Change a category. The totals of the run are computed again."""
    work = logic.change_category(caller, category_id, changes.changes(), version)
    return await CATEGORY.once(response, caller, work)


@router.delete("/v1/grade-categories/{category_id}", status_code=204, raises=(CategoryNotFound, CategoryInUse))
async def delete_category(caller: Caller, category_id: CategoryId) -> None:
    """Delete a category that no line item stands in."""
    await logic.delete_category(caller, category_id)
