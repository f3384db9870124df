"""What becomes of a block by a moderator's decision."""

from api.learning.content.contract import BlockId, BlockJudged, DocumentCourse
from api.learning.content.moderated import store
from api.learning.content.run.kept import RUNS
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import emit
from cluster.jobs import enqueue


async def follow_decision(tx: Transaction, event: Decided, version: int) -> None:
    """Take a block out of what learners see, or bring it back. An older decision changes nothing."""
    removed = "remove" in event.in_force
    course_id = await store.upsert_moderated(tx, BlockId(event.thing_id), removed=removed, version=version)
    if course_id is None:
        return
    RUNS.drop(tx)
    told = BlockJudged(block_id=BlockId(event.thing_id), course_id=course_id, org_id=event.org_id, removed=removed)
    emit(tx, told, version=version)
    enqueue(tx, DocumentCourse(course_id=course_id), dedupe=DocumentCourse.dedupe(course_id))
