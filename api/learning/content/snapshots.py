"""The present state of working outlines, for projections that join late."""

from uuid import UUID

from api.learning.content.contract import OutlineChanged
from api.learning.content.outline import store
from cluster.data import Connection
from cluster.events import snapshot


@snapshot(OutlineChanged)
async def list_outlines(db: Connection, after: UUID, limit: int) -> list[tuple[OutlineChanged, int]]:
    outlines = await store.list_changed_outlines(db, after, limit)
    return [
        (OutlineChanged(course_id=each.course_id, org_id=each.org_id, outline_version=each.version), each.version)
        for each in outlines
    ]
