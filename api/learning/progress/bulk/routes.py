"""HTTP of bulk."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import ConfigDict, Field, model_validator

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.bulk import logic
from api.learning.progress.bulk.rows import ScoreRow
from api.learning.progress.contract import RunUnknown
from api.media.media.contract import AssetId, AssetNotFound, AssetNotReady
from cluster.data import read
from cluster.http import Body, Caller, Router, once
from cluster.jobs import operations
from cluster.jobs.bulk import MAX_ITEMS
from cluster.jobs.operations import Operation

router = Router("progress")


class BulkScores(Body):
    """Scores to enter or correct in a run: `items`, or the CSV file `asset_id` with the same columns."""

    run_id: UUID
    items: Annotated[tuple[ScoreRow, ...] | None, Field(min_length=1, max_length=MAX_ITEMS)] = None
    asset_id: Annotated[AssetId | None, Field(description="An upload with the purpose `scores`")] = None
    mode: Annotated[
        Literal["each", "all_or_nothing"], Field(description="Whether rows that cannot be done hold up the others")
    ] = "each"
    dry_run: Annotated[bool, Field(description="Report what would be done, and do nothing")] = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                    "items": [
                        {
                            "line_item_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                            "enrollment_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e70",
                            "score_given": 17.5,
                        }
                    ],
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _one(self) -> "BulkScores":
        if (self.items is None) == (self.asset_id is None):
            raise ValueError("send either items or asset_id")
        return self


@router.post("/v1/scores/-/bulk", cost=30, status_code=202, raises=(RunUnknown, AssetNotFound, AssetNotReady))
async def enter_many(caller: Caller, wanted: BulkScores, response: Response) -> Operation:
    """Enter or correct many scores of a run. The operation's `report_url` has a line for each row."""
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


@router.get("/v1/grade-books/{run_id}/csv", cost=10, response_class=Response, raises=(RunUnknown,))
async def export_scores(
    caller: Caller,
    run_id: UUID,
    before: Annotated[EnrollmentId | None, Query(description="The last enrolment of the table before this one")] = None,
) -> Response:
    """Return the scores of 100 learners as a CSV table in UTF-8, with the columns that `POST /v1/scores/-/bulk` takes.

    Those who enrolled last come first; `before` goes on from the last of them.
    """
    table = await logic.write_table(caller, run_id, before=before, limit=100)
    return Response(table, media_type="text/csv; charset=utf-8; header=present")
