"""What rbac hears: the organization of each course and run. It never changes, so every version of an event tells the same."""

from api.core.rbac.place import store
from api.learning.course.contract import CourseChanged, RunChanged
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseChanged, projects=True)
async def on_course_changed(tx: Transaction, envelope: Envelope, event: CourseChanged) -> None:
    await store.upsert_place(tx, "course", event.course_id, event.org_id)


@on(RunChanged, projects=True)
async def on_run_changed(tx: Transaction, envelope: Envelope, event: RunChanged) -> None:
    await store.upsert_place(tx, "run", event.run_id, event.org_id)
