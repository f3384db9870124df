"""What content hears: which revision a course shows, when its runs start, and what moderators decided of its blocks.

In any order, each at least once.
"""

from uuid import UUID

from api.learning.content.contract import DocumentCourse
from api.learning.content.moderated.logic import follow_decision
from api.learning.content.moderated.rules import MODERATED_KIND
from api.learning.content.outline import store as outlines
from api.learning.content.run import store
from api.learning.content.run.kept import RUNS
from api.learning.course.contract import CourseChanged, RunChanged
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue


@on(CourseChanged, projects=True)
async def on_course_changed(tx: Transaction, envelope: Envelope, event: CourseChanged) -> None:
    """Remember the course, and make its outline if it came without one: restored, or created while content was away."""
    await outlines.insert_outline(tx, event.course_id, event.org_id)
    await store.upsert_course(tx, event, envelope.version)
    RUNS.drop(tx)
    _document(tx, event.course_id)


@on(RunChanged, projects=True)
async def on_run_changed(tx: Transaction, envelope: Envelope, event: RunChanged) -> None:
    await store.upsert_run(tx, event, envelope.version)
    RUNS.drop(tx, event.run_id)
    _document(tx, event.course_id)


@on(Decided)
async def on_decided(tx: Transaction, envelope: Envelope, event: Decided) -> None:
    """Hide a block that a moderator removed, or show it again."""
    if event.kind == MODERATED_KIND:
        await follow_decision(tx, event, envelope.version)


def _document(tx: Transaction, course_id: UUID) -> None:
    """Let what is published now be found."""
    enqueue(tx, DocumentCourse(course_id=course_id), dedupe=DocumentCourse.dedupe(course_id))
