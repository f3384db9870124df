"""What course contributes: roles on a course and what they may do, and what a new course is like."""

from typing import Annotated

from pydantic import Field

from api.learning.course.contract import CourseChanged, CourseExistence, Visibility
from api.learning.course.notices import NOTICES
from api.learning.course.rules import LANGUAGE_TAG, MODERATED_KIND, MODERATED_RUN, TOPIC
from api.platform.moderation.contract import Moderated, ModeratedKind
from cluster.events import Snapshots
from cluster.people.access import Permission, Role
from cluster.people.calls import Answers
from cluster.people.documents import DocumentSource, SearchDocument
from cluster.people.notices import NoticeSource
from cluster.people.org_settings import Setting
from cluster.people.topics import Topic, TopicSource

_AUTHORS = ("org_owner", "org_admin", "instructor")
_STAFF = (*_AUTHORS, "assistant")

VISIBILITY: Setting[Visibility] = Setting(
    name="course.visibility",
    title="Who sees a new course in the catalogue when its author does not say",
    type=Visibility,
    default="public",
)
LANGUAGE = Setting(
    name="course.language",
    title="The language of a new course when its author does not say",
    type=Annotated[str, Field(pattern=LANGUAGE_TAG, max_length=35, description="BCP 47")],
    default="en",
)

OFFERS = (
    VISIBILITY,
    LANGUAGE,
    Answers(CourseExistence),
    Answers(Snapshots),
    Answers(Moderated),
    ModeratedKind(name=MODERATED_KIND, title="Course", actions=("remove", "lock")),
    ModeratedKind(name=MODERATED_RUN, title="Title of a run", actions=("remove",)),
    Answers(TopicSource),
    Topic(name=TOPIC, title="Changes of a working copy", permission="course:read", kind="state"),
    Answers(DocumentSource),
    SearchDocument(
        kind="course",
        title="Course",
        permissions=("catalog:read", "catalog:read-organization"),
        events={CourseChanged: "course_id"},
        facets=("category", "tag"),
    ),
    Answers(NoticeSource),
    *NOTICES,
    Role("instructor", "Instructor: edits, publishes and runs the course", "course"),
    Role("assistant", "Assistant: sees the working copy and its learners", "course"),
    Permission("course:create", "Create courses in an organization", ("org_owner", "org_admin", "course_creator")),
    Role("course_creator", "May create courses", "organization"),
    Permission("course:read", "See the working copy", _STAFF),
    Permission("course:edit", "Change the working copy and its outline", _AUTHORS),
    Permission("course:publish", "Publish revisions, archive and restore", _AUTHORS),
    Permission("course:staff", "Choose who teaches", _AUTHORS),
    Permission("run:manage", "Open, change and end runs", _AUTHORS),
    Permission("run:read", "See a run that the catalogue does not show", ("learner", *_STAFF)),
    Permission("run:read-organization", "See a run of a course for members only", ("member", "learner", *_STAFF)),
    Permission("catalog:read", "See what is published", ("anyone",)),
    Permission("catalog:read-organization", "See what is published for members only", ("member", *_STAFF)),
)
