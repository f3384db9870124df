"""Copy the organizations of courses and runs. A course never changes its organization, so that older news does no harm."""

from api.learning.course.contract import CourseChanged, RunChanged
from api.media.media import store
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseChanged, projects=True)
async def on_course_changed(tx: Transaction, envelope: Envelope, event: CourseChanged) -> None:
    await store.insert_place(tx, event.course_id, "course", course_id=event.course_id, org_id=event.org_id)


@on(RunChanged, projects=True)
async def on_run_changed(tx: Transaction, envelope: Envelope, event: RunChanged) -> None:
    await store.insert_place(tx, event.run_id, "run", course_id=event.course_id, org_id=event.org_id)
