"""HTTP of progress."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.learning.content.contract import BlockId, BlockNotFound, BlockNotReleased, OutlineNotFound
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress import logic, rules
from api.learning.progress.contract import CompletionIsMeasured, NothingToComplete, ProgressNotFound
from api.learning.progress.logic import Progress
from api.learning.progress.store import Completion
from api.learning.progress.watching import logic as watching
from api.learning.progress.watching import routes as heartbeats
from api.learning.progress.watching.rules import Watched
from cluster.base.ids import OrgId, UserId
from cluster.http import Body, Caller, Page, Paging, Router, Several, once

router = Router("progress")
router.include_router(heartbeats.router)

BlockState = Literal["open", "started", "completed", "not_released"]


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


class CompletionView(BaseModel):
    """A completed block."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    block_version: int
    completed_at: datetime


class ResumeView(BaseModel):
    """The position at which a learner stopped watching."""

    block_id: BlockId
    position_s: float


class BlockProgressView(BaseModel):
    """The progress of a learner with a block."""

    block_id: BlockId
    type: str
    state: BlockState
    completed_at: datetime | None
    watched_ratio: Annotated[float, Field(ge=0, le=1)] | None
    """Of the film, if it is one that was begun."""
    release_at: datetime | None


class ProgressSummary(BaseModel):
    """The progress of an enrolment, by the present requirements of its run."""

    enrollment_id: EnrollmentId
    organization_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    revision: int | None
    completed_blocks: int
    total_blocks: int
    """Of those that are open by now: with the release of others it grows."""
    percent: int
    """Of what is open by now. 100 is finished when nothing is to come."""
    blocks_to_come: int
    """Required, but released later; nobody finishes before."""
    completed_at: datetime | None
    """When they finished. It stays, whatever the course becomes."""
    completed_revision: int | None


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
    return _completion(completion)


@router.get("/v1/progress")
async def list_progress(
    caller: Caller, paging: Paging, run_id: UUID, id: Several[UUID] = None
) -> Page[ProgressSummary]:
    """List the progress of the learners of a run that the caller may see, newest enrolment first."""
    after = paging.after(run=run_id, id=id)
    progress = await logic.list_progress(
        caller,
        run_id,
        ids=None if id is None else [EnrollmentId(each) for each in id],
        before=EnrollmentId(after[0]) if after else None,
        limit=paging.limit,
    )
    return paging.page(progress, key=lambda each: each.learner.enrollment_id, render=_summary)


@router.get("/v1/progress/{enrollment_id}", raises=(ProgressNotFound,))
async def get_progress(caller: Caller, enrollment_id: UUID) -> ProgressView:
    """Return the progress of an enrolment."""
    progress = await logic.get_progress(caller, EnrollmentId(enrollment_id))
    films = await watching.films_of(progress.learner.enrollment_id)
    summary = _summary(progress)
    return ProgressView(**dict(summary), resume=_resume(films), blocks=_blocks(progress, films))


def _completion(completion: Completion) -> CompletionView:
    return CompletionView(
        enrollment_id=completion.enrollment_id,
        block_id=completion.block_id,
        block_version=completion.block_version,
        completed_at=completion.completed_at,
    )


def _summary(progress: Progress) -> ProgressSummary:
    learner, standing = progress.learner, progress.standing
    return ProgressSummary(
        enrollment_id=learner.enrollment_id,
        organization_id=learner.org_id,
        course_id=learner.course_id,
        run_id=learner.run_id,
        user_id=learner.user_id,
        revision=progress.revision,
        completed_blocks=standing.completed,
        total_blocks=standing.total,
        percent=standing.percent,
        blocks_to_come=standing.to_come,
        completed_at=learner.completed_at,
        completed_revision=learner.completed_revision,
    )


def _resume(films: list[Watched]) -> ResumeView | None:
    last = max(films, key=lambda each: each.heard_at, default=None)
    return None if last is None else ResumeView(block_id=last.block_id, position_s=last.position_ms / 1000)


def _blocks(progress: Progress, films: list[Watched]) -> list[BlockProgressView]:
    ratios = {each.block_id: each.ratio for each in films}
    views: list[BlockProgressView] = []
    for block in progress.required:
        done = progress.done.get(block.block_id)
        counts = rules.counts(block, progress.done)
        ratio = ratios.get(block.block_id)
        state: BlockState
        if counts:
            state = "completed"
        elif not block.released:
            state = "not_released"
        else:
            state = "open" if ratio is None else "started"
        views.append(
            BlockProgressView(
                block_id=block.block_id,
                type=block.type,
                state=state,
                completed_at=done.completed_at if counts and done else None,
                watched_ratio=None if ratio is None else round(ratio, 4),
                release_at=block.release_at,
            )
        )
    return views
