"""What rbac hears: whose a new course or run is."""

from api.core.rbac import store
from api.learning.course.contract import CourseCreated, RunCreated
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseCreated)
async def on_course_created(tx: Transaction, envelope: Envelope, event: CourseCreated) -> None:
    await store.insert_place(tx, "course", event.course_id, event.org_id)


@on(RunCreated)
async def on_run_created(tx: Transaction, envelope: Envelope, event: RunCreated) -> None:
    await store.insert_place(tx, "run", event.run_id, event.org_id)
