"""HTTP of progress."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import AliasPath, AwareDatetime, ConfigDict, Field

from api.learning.content.contract import BlockId, BlockNotFound, BlockNotReleased, OutlineNotFound
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress import logic, rules
from api.learning.progress.bulk import routes as bulk
from api.learning.progress.category import routes as categories
from api.learning.progress.contract import CompletionIsMeasured, NothingToComplete, ProgressNotFound
from api.learning.progress.grade_book import routes as grade_books
from api.learning.progress.line_item import routes as line_items
from api.learning.progress.rules import BlockState
from api.learning.progress.score import routes as scores
from api.learning.progress.watching import logic as watching
from api.learning.progress.watching import routes as heartbeats
from api.learning.progress.watching.rules import Watched
from cluster.base.ids import OrgId, UserId
from cluster.http import Body, Caller, Page, Paging, Router, Several, View, once

router = Router("progress")
router.include_router(heartbeats.router)
router.include_router(line_items.router)
router.include_router(scores.router)
router.include_router(bulk.router)
router.include_router(categories.router)
router.include_router(grade_books.router)


class NewCompletion(Body):
    """A completion to record. `occurred_at` is its time, for clients that were offline."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    occurred_at: AwareDatetime | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "enrollment_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                    "block_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e70",
                }
            ]
        }
    )


class CompletionView(View):
    """A completed block."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    block_version: int
    completed_at: datetime


class ResumeView(View):
    """The position at which a learner stopped watching."""

    block_id: BlockId
    position_s: float


class BlockProgressView(View):
    """The progress of a learner with a block."""

    block_id: BlockId
    type: str
    state: BlockState
    completed_at: datetime | None
    watched_ratio: Annotated[float, Field(ge=0, le=1)] | None
    """Of the film, if it is one that was begun."""
    release_at: datetime | None


def _learner(field: str) -> Any:
    return Field(validation_alias=AliasPath("learner", field))


def _standing(field: str) -> Any:
    return Field(validation_alias=AliasPath("standing", field))


class ProgressSummary(View):
    """The progress of an enrolment, by the present requirements of its run."""

    enrollment_id: Annotated[EnrollmentId, _learner("enrollment_id")]
    organization_id: Annotated[OrgId, _learner("org_id")]
    course_id: Annotated[UUID, _learner("course_id")]
    run_id: Annotated[UUID, _learner("run_id")]
    user_id: Annotated[UserId, _learner("user_id")]
    revision: int | None
    completed_blocks: Annotated[int, _standing("completed")]
    total_blocks: Annotated[int, _standing("total")]
    """Of those that are open by now: with the release of others it grows."""
    percent: Annotated[int, _standing("percent")]
    """Of what is open by now. 100 is finished when nothing is to come."""
    blocks_to_come: Annotated[int, _standing("to_come")]
    """Required, but released later; nobody finishes before."""
    completed_at: Annotated[datetime | None, _learner("completed_at")]
    """When they finished. It stays, whatever the course becomes."""
    completed_revision: Annotated[int | None, _learner("completed_revision")]


class ProgressView(ProgressSummary):
    """The progress of an enrolment, block by block, and the block to continue with."""

    resume: ResumeView | None
    blocks: list[BlockProgressView]


@router.post(
    "/v1/completions",
    raises=(
        ProgressNotFound,
        OutlineNotFound,
        BlockNotFound,
        BlockNotReleased,
        CompletionIsMeasured,
        NothingToComplete,
    ),
)
async def complete(caller: Caller, new: NewCompletion, response: Response) -> CompletionView:
    """Mark a block as completed by the caller. Repeating the request changes nothing."""
    completion = await once(
        response,
        logic.claim(caller, new.enrollment_id, new.block_id, occurred_at=new.occurred_at, now=datetime.now(UTC)),
        again=lambda id: logic.get_completion(caller, EnrollmentId(id), new.block_id),
    )
    return CompletionView.of(completion)


@router.get("/v1/progress")
async def list_progress(
    caller: Caller, paging: Paging, run_id: UUID, id: Several[EnrollmentId] = None
) -> Page[ProgressSummary]:
    """List the progress of the learners of a run that the caller may see, newest enrolment first."""
    after = paging.after(run=run_id, id=id)
    progress = await logic.list_progress(
        caller,
        run_id,
        ids=id,
        before=EnrollmentId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(progress, key=lambda each: each.learner.enrollment_id, render=ProgressSummary.of)


@router.get("/v1/progress/{enrollment_id}", raises=(ProgressNotFound,))
async def get_progress(caller: Caller, enrollment_id: EnrollmentId) -> ProgressView:
    """Return the progress of an enrolment."""
    progress = await logic.get_progress(caller, enrollment_id)
    films = await watching.films_of(enrollment_id)
    ratios = {each.block_id: each.ratio for each in films}
    blocks = [rules.progress_of(each, progress.done, ratios.get(each.block_id)) for each in progress.required]
    return ProgressView(
        **dict(ProgressSummary.of(progress)),
        resume=_resume(films),
        blocks=[BlockProgressView.of(block) for block in blocks],
    )


def _resume(films: list[Watched]) -> ResumeView | None:
    last = max(films, key=lambda each: each.heard_at, default=None)
    return None if last is None else ResumeView(block_id=last.block_id, position_s=last.position_ms / 1000)
