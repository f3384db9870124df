"""What rbac hears: whose a course or run is. That never changes, so the first news of it is as good as any."""

from api.core.rbac import store
from api.learning.course.contract import CourseChanged, RunChanged
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseChanged, projects=True)
async def on_course_changed(tx: Transaction, envelope: Envelope, event: CourseChanged) -> None:
    await store.insert_place(tx, "course", event.course_id, event.org_id)


@on(RunChanged, projects=True)
async def on_run_changed(tx: Transaction, envelope: Envelope, event: RunChanged) -> None:
    await store.insert_place(tx, "run", event.run_id, event.org_id)
