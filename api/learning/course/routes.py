"""HTTP of the working copy: parse, ask logic, render. Runs, staff and the catalogue have routes of their own."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.learning.course import logic, process
from api.learning.course.catalog.routes import router as catalog
from api.learning.course.contract import (
    CategoryUnknown,
    CourseArchivedAlready,
    CourseId,
    CourseNotFound,
    NothingToPublish,
    NotReadyToPublish,
    RevisionNotFound,
    RunId,
    SlugTaken,
    Visibility,
)
from api.learning.course.run.routes import router as runs
from api.learning.course.staff.routes import router as staff
from api.learning.course.store import Course, Revision
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Invalid, Stale
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, once, set_etag
from cluster.jobs.operations import Operation

router = Router("course")
router.include_router(runs)
router.include_router(staff)
router.include_router(catalog)


def _each_once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Title = Annotated[str, Field(min_length=1, max_length=200, examples=["Algebra for everyone"])]
Summary = Annotated[
    str, Field(max_length=2000, examples=["Numbers, letters and what they have to do with each other."])
]
Language = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, description="BCP 47", examples=["en"])
]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80, examples=["algebra-for-everyone"])]
Categories = Annotated[
    list[Slug],
    Field(max_length=5, description="Of those at GET /v1/catalog/-/categories", examples=[["mathematics"]]),
    AfterValidator(_each_once),
]
Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=40)]],
    Field(max_length=20, examples=[["algebra"]]),
    AfterValidator(_each_once),
]


class NewCourse(Body):
    """A course to create."""

    organization_id: OrgId
    title: Title
    summary: Summary = ""
    language: Language = "en"
    slug: Annotated[Slug | None, Field(description="Left out: made of the title")] = None
    categories: Categories = []
    tags: Tags = []
    visibility: Visibility = "public"


class CourseChanges(Patch):
    """What to change of a working copy."""

    title: Title = ""
    summary: Summary = ""
    language: Language = "en"
    slug: Slug = ""
    categories: Categories = []
    tags: Tags = []
    visibility: Visibility = "public"

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Algebra for everyone, again"}]})


class CourseView(BaseModel):
    """The working copy of a course."""

    id: CourseId
    organization_id: OrgId
    slug: str
    title: str
    summary: str
    language: str
    categories: list[str]
    tags: list[str]
    visibility: Visibility
    default_run_id: RunId
    source_course_id: CourseId | None
    published_revision: int | None
    has_draft_changes: bool
    publish_at: datetime | None
    publish_error: str | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Publication(Body):
    """What changed, for those who read the list of revisions."""

    note: Annotated[str, Field(max_length=2000, examples=["Second lesson rewritten"])] = ""


class Schedule(Body):
    publish_at: Annotated[AwareDatetime, Field(examples=["2027-09-01T08:00:00Z"])]


class NewRerun(Body):
    """The new course's title and slug; left out, the title is the old one's and the slug is made of it."""

    title: Title | None = None
    slug: Slug | None = None


class RevisionView(BaseModel):
    """A published state of a course."""

    revision: int
    details: dict[str, Any]
    restored_revision: int | None
    note: str
    published_by: UserId | None
    published_at: datetime


@router.post("/v1/courses", status_code=201, raises=(SlugTaken, CategoryUnknown))
async def create_course(caller: Caller, new: NewCourse, response: Response) -> CourseView:
    """Create a course with an empty outline and a first run; the caller teaches it."""
    details = logic.Details(
        title=new.title,
        summary=new.summary,
        language=new.language,
        slug=new.slug,
        categories=tuple(new.categories),
        tags=tuple(new.tags),
        visibility=new.visibility,
    )
    course = await once(
        response, logic.create_course(caller, new.organization_id, details), partial(logic.get_course, caller)
    )
    response.headers["Location"] = f"/v1/courses/{course.id}"
    return _render(course, response)


@router.get("/v1/courses")
async def list_courses(
    caller: Caller,
    paging: Paging,
    organization_id: UUID | None = None,
    archived: Annotated[bool, Query(description="List the archived ones instead")] = False,
    id: Several[UUID] = None,
) -> Page[CourseView]:
    """List the working copies that the caller may see, newest first."""
    after = paging.after(org=organization_id, archived=archived, id=id)
    courses = await logic.list_courses(
        caller,
        org_id=None if organization_id is None else OrgId(organization_id),
        ids=None if id is None else [CourseId(each) for each in id],
        archived=archived,
        before=CourseId(after[0]) if after else None,
        limit=paging.limit,
    )
    return paging.page(courses, render=_view)


@router.get("/v1/courses/{course_id}", raises=(CourseNotFound,))
async def get_course(caller: Caller, course_id: UUID, response: Response) -> CourseView:
    """Return a working copy."""
    return _render(await logic.get_course(caller, CourseId(course_id)), response)


@router.patch(
    "/v1/courses/{course_id}", raises=(CourseNotFound, CourseArchivedAlready, SlugTaken, CategoryUnknown, Stale)
)
async def change_course(
    caller: Caller, course_id: UUID, changes: CourseChanges, version: IfMatch, response: Response
) -> CourseView:
    """Change the working copy. The catalogue shows it from the next publishing on."""
    course = await once(
        response,
        logic.change_course(caller, CourseId(course_id), changes.changes(), version),
        partial(logic.get_course, caller),
    )
    return _render(course, response)


@router.post(
    "/v1/courses/{course_id}/publish",
    raises=(CourseNotFound, CourseArchivedAlready, NotReadyToPublish, NothingToPublish),
)
async def publish(
    caller: Caller, course_id: UUID, response: Response, publication: Publication | None = None
) -> CourseView:
    """Make the working copy the next revision, for everybody to see."""
    note = publication.note if publication else ""
    course = await once(response, logic.publish(caller, CourseId(course_id), note), partial(logic.get_course, caller))
    return _render(course, response)


@router.post("/v1/courses/{course_id}/schedule", raises=(CourseNotFound, CourseArchivedAlready, Invalid))
async def schedule(caller: Caller, course_id: UUID, wanted: Schedule, response: Response) -> CourseView:
    """Let the course publish itself at a time to come. What was missing then stands in `publish_error`."""
    course = await once(
        response,
        logic.schedule(caller, CourseId(course_id), wanted.publish_at, datetime.now(UTC)),
        partial(logic.get_course, caller),
    )
    return _render(course, response)


@router.post("/v1/courses/{course_id}/unschedule", raises=(CourseNotFound, CourseArchivedAlready))
async def unschedule(caller: Caller, course_id: UUID, response: Response) -> CourseView:
    """Take back a scheduled publication."""
    course = await once(response, logic.unschedule(caller, CourseId(course_id)), partial(logic.get_course, caller))
    return _render(course, response)


@router.post("/v1/courses/{course_id}/archive", raises=(CourseNotFound,))
async def archive(caller: Caller, course_id: UUID, response: Response) -> CourseView:
    """Take the course out of the catalogue. Its learners keep what they have."""
    course = await once(response, logic.archive(caller, CourseId(course_id)), partial(logic.get_course, caller))
    return _render(course, response)


@router.post("/v1/courses/{course_id}/restore", raises=(CourseNotFound,))
async def restore(caller: Caller, course_id: UUID, response: Response) -> CourseView:
    """Bring an archived course back."""
    course = await once(response, logic.restore(caller, CourseId(course_id)), partial(logic.get_course, caller))
    return _render(course, response)


@router.get("/v1/courses/{course_id}/revisions", raises=(CourseNotFound,))
async def list_revisions(caller: Caller, course_id: UUID, paging: Paging) -> Page[RevisionView]:
    """List what was published, newest first."""
    after = paging.after(int, sort="-revision", course=course_id)
    revisions = await logic.list_revisions(
        caller, CourseId(course_id), before=after[0] if after else None, limit=paging.limit
    )
    return paging.page(revisions, key=lambda revision: revision.revision, render=_revision)


@router.post(
    "/v1/courses/{course_id}/revisions/{revision}/restore",
    raises=(CourseNotFound, RevisionNotFound, CourseArchivedAlready),
)
async def roll_back(caller: Caller, course_id: UUID, revision: int, response: Response) -> CourseView:
    """Publish an old revision's content again, as a new revision."""
    course = await once(
        response, logic.roll_back(caller, CourseId(course_id), revision), partial(logic.get_course, caller)
    )
    return _render(course, response)


@router.post("/v1/courses/{course_id}/rerun", status_code=202, raises=(CourseNotFound,))
async def rerun(caller: Caller, course_id: UUID, response: Response, new: NewRerun | None = None) -> Operation:
    """Make a new course of this one, outline included. The operation's `result_url` is the new course."""
    new = new or NewRerun()
    rerun_id = await once(response, process.start(caller, CourseId(course_id), title=new.title, slug=new.slug), None)
    response.headers["Location"] = f"/v1/operations/{rerun_id}"
    return await process.operation_of(caller, rerun_id)


def _render(course: Course, response: Response) -> CourseView:
    set_etag(response, course.view_version)
    return _view(course)


def _view(course: Course) -> CourseView:
    return CourseView(
        id=course.id,
        organization_id=course.org_id,
        slug=course.slug,
        title=course.title,
        summary=course.summary,
        language=course.language,
        categories=course.categories,
        tags=course.tags,
        visibility=course.visibility,
        default_run_id=course.default_run_id,
        source_course_id=course.source_course_id,
        published_revision=course.published_revision,
        has_draft_changes=course.has_draft_changes,
        publish_at=course.publish_at,
        publish_error=course.publish_error,
        archived_at=course.archived_at,
        created_at=course.created_at,
        updated_at=course.updated_at,
    )


def _revision(revision: Revision) -> RevisionView:
    return RevisionView(
        revision=revision.revision,
        details=revision.details,
        restored_revision=revision.restored_revision,
        note=revision.note,
        published_by=revision.published_by,
        published_at=revision.published_at,
    )
