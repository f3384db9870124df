"""HTTP of the working copy: parse, ask logic, render. Publication, runs, staff and the catalogue have routes of their own."""

from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator, ConfigDict, Field

from api.learning.course import logic
from api.learning.course.catalog.routes import router as catalog
from api.learning.course.contract import (
    CategoryUnknown,
    CourseArchivedAlready,
    CourseId,
    CourseModerated,
    CourseNotFound,
    SlugTaken,
    Visibility,
)
from api.learning.course.publication.routes import router as publication
from api.learning.course.rerun import process
from api.learning.course.rules import LANGUAGE_TAG
from api.learning.course.run.routes import router as runs
from api.learning.course.staff.routes import router as staff
from api.learning.course.store import Details
from api.learning.course.view import COURSE, CourseView
from api.platform.moderation.contract import AuthorMuted, TextRefused
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, once
from cluster.jobs.operations import Operation

router = Router("course")
for part in (publication, runs, staff, catalog):
    router.include_router(part)


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


Title = Annotated[str, Field(min_length=1, max_length=200, examples=["Algebra for everyone"])]
Summary = Annotated[
    str, Field(max_length=2000, examples=["Numbers, letters and what they have to do with each other."])
]
Language = Annotated[str, Field(pattern=LANGUAGE_TAG, max_length=35, description="BCP 47", examples=["en"])]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80, examples=["algebra-for-everyone"])]
Categories = Annotated[
    tuple[Slug, ...],
    Field(max_length=5, description="Slugs of categories: GET /v1/catalog/-/categories", examples=[["mathematics"]]),
    AfterValidator(_each_once),
]
Tags = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=40)], ...],
    Field(max_length=20, examples=[["algebra"]]),
    AfterValidator(_each_once),
]


class NewCourse(Body):
    """A course to create."""

    organization_id: OrgId
    title: Title
    summary: Summary = ""
    language: Annotated[Language | None, Field(description="Default: the setting `course.language`")] = None
    slug: Annotated[Slug | None, Field(description="Default: made from the title")] = None
    categories: Categories = ()
    tags: Tags = ()
    visibility: Annotated[Visibility | None, Field(description="Default: the setting `course.visibility`")] = None


class CourseChanges(Patch):
    """Changes of a working copy."""

    title: Title = ""
    summary: Summary = ""
    language: Language = "en"
    slug: Slug = ""
    categories: Categories = ()
    tags: Tags = ()
    visibility: Visibility = "public"

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Algebra for everyone, again"}]})


class NewRerun(Body):
    """The title and slug of the new course. Default: the title of the old one, and a slug made from the title."""

    title: Title | None = None
    slug: Slug | None = None


@router.post("/v1/courses", status_code=201, raises=(SlugTaken, CategoryUnknown, TextRefused, AuthorMuted))
async def create_course(caller: Caller, new: NewCourse, response: Response) -> CourseView:
    """Create a course with an empty outline and a first run; the caller teaches it."""
    details = Details(**new.model_dump(exclude={"organization_id"}))
    return await COURSE.created(response, caller, logic.create_course(caller, new.organization_id, details))


@router.get("/v1/courses")
async def list_courses(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    archived: Annotated[bool, Query(description="List archived courses instead")] = False,
    id: Several[CourseId] = None,
) -> Page[CourseView]:
    """List the working copies that the caller may see, newest first."""
    after = paging.after(org=organization_id, archived=archived, id=id)
    courses = await logic.list_courses(
        caller,
        org_id=organization_id,
        ids=id,
        archived=archived,
        before=CourseId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(courses, render=CourseView.of)


@router.get("/v1/courses/{course_id}", raises=(CourseNotFound,))
async def get_course(caller: Caller, course_id: CourseId, response: Response) -> CourseView:
    """Return a working copy."""
    return COURSE.show(response, await logic.get_course(caller, course_id))


@router.patch(
    "/v1/courses/{course_id}",
    raises=(
        *(CourseNotFound, CourseArchivedAlready, CourseModerated, SlugTaken, CategoryUnknown, TextRefused, AuthorMuted),
        Stale,
    ),
)
async def change_course(
    caller: Caller, course_id: CourseId, changes: CourseChanges, version: IfMatch, response: Response
) -> CourseView:
    """Change the working copy. The catalogue shows the change when the course is next published."""
    return await COURSE.once(response, caller, logic.change_course(caller, course_id, changes.changes(), version))


@router.post("/v1/courses/{course_id}/archive", raises=(CourseNotFound,))
async def archive(caller: Caller, course_id: CourseId, response: Response) -> CourseView:
    """Archive a course: it leaves the catalogue. Learners keep their access and progress."""
    return await COURSE.once(response, caller, logic.archive(caller, course_id))


@router.post("/v1/courses/{course_id}/restore", raises=(CourseNotFound, CourseModerated))
async def restore(caller: Caller, course_id: CourseId, response: Response) -> CourseView:
    """Restore an archived course."""
    return await COURSE.once(response, caller, logic.restore(caller, course_id))


@router.post("/v1/courses/{course_id}/rerun", status_code=202, raises=(CourseNotFound,))
async def rerun(caller: Caller, course_id: CourseId, response: Response, new: NewRerun | None = None) -> Operation:
    """Copy a course, with its outline, to a new course. The operation's `result_url` is the new course."""
    new = new or NewRerun()
    rerun_id = await once(response, process.start(caller, course_id, title=new.title, slug=new.slug), None)
    response.headers["Location"] = f"/v1/operations/{rerun_id}"
    return await process.operation_of(caller, rerun_id)
