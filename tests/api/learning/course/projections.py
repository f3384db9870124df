"""What course copies of the state of others, and old news of its own; see `tests.platform.projections`."""

from dataclasses import replace

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseChanged, RunChanged
from cluster.base.ids import new_id
from tests.platform.projections import OldNews

COPIED = {
    "learners": """SELECT c.course_id, c.enrollment_id, c.active, k.learners
        FROM course.learner_counts c JOIN course.catalog k USING (course_id) WHERE k.org_id = $1""",
    "outlines": "SELECT id, outline_version FROM course.courses WHERE org_id = $1",
}
FORGET = (
    "DELETE FROM course.learner_counts WHERE course_id IN (SELECT id FROM course.courses WHERE org_id = $1)",
    "UPDATE course.catalog SET learners = 0 WHERE org_id = $1",
    "UPDATE course.courses SET outline_version = 0 WHERE org_id = $1",
)
OLD_NEWS: OldNews = {
    CourseChanged: lambda now: replace(now, revision=7, frozen_id=FrozenId(new_id()), archived=not now.archived),
    RunChanged: lambda now: replace(now, pinned_revision=7),
}
