"""HTTP of bulk."""

from typing import Annotated, Literal

from fastapi import Response
from pydantic import ConfigDict, Field, model_validator

from api.learning.course.contract import RunId
from api.learning.enrollment.bulk import logic
from api.learning.enrollment.bulk.rows import EnrolRow
from api.learning.enrollment.contract import NotEnrollable, RunNotOpen
from api.media.media.contract import AssetId, AssetNotFound, AssetNotReady
from cluster.data import read
from cluster.http import Body, Caller, Router, once
from cluster.jobs import operations
from cluster.jobs.bulk import MAX_ITEMS
from cluster.jobs.operations import Operation

router = Router("enrollment")


class BulkEnrolment(Body):
    """Who is to learn in a run: `items`, or the CSV file `asset_id` with the same columns."""

    run_id: RunId
    items: Annotated[tuple[EnrolRow, ...] | None, Field(min_length=1, max_length=MAX_ITEMS)] = None
    asset_id: Annotated[AssetId | None, Field(description="An upload with the purpose `roster`")] = None
    mode: Annotated[
        Literal["each", "all_or_nothing"], Field(description="Whether rows that cannot be done hold up the others")
    ] = "each"
    dry_run: Annotated[bool, Field(description="Report what would be done, and do nothing")] = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"run_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f", "items": [{"email": "alan@school.example"}]}
            ]
        }
    )

    @model_validator(mode="after")
    def _one(self) -> "BulkEnrolment":
        if (self.items is None) == (self.asset_id is None):
            raise ValueError("send either items or asset_id")
        return self


@router.post(
    "/v1/enrollments/-/bulk",
    cost=30,
    status_code=202,
    raises=(NotEnrollable, RunNotOpen, AssetNotFound, AssetNotReady),
)
async def enrol_many(caller: Caller, wanted: BulkEnrolment, response: Response) -> Operation:
    """Enrol many people in a run, or take them out of it. The operation's `report_url` has a line for each row."""
    operation_id = await once(
        response,
        logic.begin(
            caller,
            wanted.run_id,
            items=wanted.items,
            asset_id=wanted.asset_id,
            all_or_nothing=wanted.mode == "all_or_nothing",
            dry_run=wanted.dry_run,
        ),
        None,
    )
    response.headers["Location"] = f"/v1/operations/{operation_id}"
    async with read() as db:
        return await operations.get_operation(db, operation_id)
