"""Ends grants on courses that were not created."""

from datetime import datetime, timedelta
from uuid import UUID

from api.core.rbac.grant import logic as grants
from api.core.rbac.grant.store import lock_grants_on_courses
from api.core.rbac.place import store
from api.learning.course.contract import CourseExistence
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.people.calls import client

UNCONFIRMED_LIFETIME = timedelta(days=1)
"""How long grants on a course wait for it to exist."""
_BATCH = 500


async def end_unconfirmed(caller: Principal, now: datetime, after: UUID | None = None) -> UUID | None:
    """End grants on a batch of courses that were not created within a day; return the id after which the next batch begins.

    course itself is asked: events of a course may take longer than a day.
    """
    async with read() as db:
        waiting = await store.list_unconfirmed(db, before=now - UNCONFIRMED_LIFETIME, after=after, limit=_BATCH)
    if not waiting:
        return None
    found = await client(CourseExistence, of="course").existence_of(waiting)
    gone = sorted(set(waiting) - {*found.existing, *found.pending})
    async with write(caller) as tx:
        await store.update_confirmed(tx, found.existing)
        await grants.end(tx, await lock_grants_on_courses(tx, gone), "expired")
        await store.delete_unconfirmed(tx, gone)
    return waiting[-1]
