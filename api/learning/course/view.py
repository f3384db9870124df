"""How a working copy is answered, by the routes of every part."""

from datetime import datetime
from typing import Literal

from api.learning.course import logic
from api.learning.course.contract import CourseId, RunId, Visibility
from cluster.http import Answer, OrganizationId, View


class CourseView(View):
    """The working copy of a course."""

    id: CourseId
    organization_id: OrganizationId
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
    moderation_state: Literal["locked", "removed"] | None = None
    """What a moderator decided of it: neither can be changed, and a removed one is archived."""
    created_at: datetime
    updated_at: datetime


COURSE = Answer(get=logic.get_course, view=CourseView, etag="view_version", path="/v1/courses/{id}")
