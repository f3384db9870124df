"""What media hears: which courses and runs there are, and whose."""

from api.learning.course.contract import CourseCreated, RunCreated
from api.media.media import store
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseCreated)
async def on_course_created(tx: Transaction, envelope: Envelope, event: CourseCreated) -> None:
    await store.insert_place(tx, event.course_id, "course", course_id=event.course_id, org_id=event.org_id)


@on(RunCreated)
async def on_run_created(tx: Transaction, envelope: Envelope, event: RunCreated) -> None:
    await store.insert_place(tx, event.run_id, "run", course_id=event.course_id, org_id=event.org_id)
