"""Use cases of frozen outlines: freeze the working outline, read a frozen one, let go of what it uses."""

from datetime import datetime, timedelta
from uuid import UUID

from api.learning.content import rules
from api.learning.content.block_types import block_types
from api.learning.content.contract import Frozen, FrozenId, FrozenOutline, OutlineNotFound
from api.learning.content.frozen import memory, store
from api.learning.content.frozen.rules import freeze as frozen_form
from api.learning.content.frozen.store import FrozenRow
from api.learning.content.outline.store import find_whole_outline
from api.learning.course.contract import CourseExistence
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.base.problems import Unavailable
from cluster.data import read, uses, write
from cluster.data.uses import Ref
from cluster.people.calls import client

_PLATFORM = platform("content")
_GONE = "the same outline was forgotten in this moment; repeat it"
_UNCONFIRMED_FOR = timedelta(days=1)
"""Publishing freezes, then commits the revision: this is how long it may take."""
_EXPIRE_BATCH = 500


async def freeze(course_id: UUID) -> Frozen:
    """Keep the working outline, or say what is missing in it. The same outline gets the same id.

    A kept outline uses what its blocks name, so that nothing of it can be deleted until its revisions are forgotten.

    Raises:
        OutlineNotFound
        ThingGone: something was deleted in this moment.
        Unavailable: the same outline was let go in this moment.
    """
    async with read() as db:
        found = await find_whole_outline(db, course_id)
    if found is None:
        raise OutlineNotFound
    outline, blocks = found
    rows, sha256 = frozen_form(blocks, block_types())
    row = FrozenRow(id=FrozenId(new_id()), course_id=course_id, org_id=outline.org_id, blocks=rows)
    kept = await memory.decode(row)
    things = {ref for used in kept.things.values() for ref in used}
    async with read() as db:
        known = await uses.states(db, things)
        before = await store.find_kept(db, course_id, sha256)
    frozen_id = None if before is None else before.id
    missing = [
        *rules.missing_lessons(kept.outline.blocks),
        *rules.missing_things(kept.outline.blocks, kept.things, known, outline.org_id),
    ]
    if frozen_id is None and not missing:
        async with write(_PLATFORM) as tx:
            frozen_id = await store.insert_frozen(tx, row, sha256)
            if frozen_id is not None:
                by = Ref("outline", frozen_id)
                await uses.use(tx, by=by, org_id=outline.org_id, course_id=course_id, things=things)
            else:
                before = await store.find_kept(tx, course_id, sha256)
                if before is None:
                    raise Unavailable(_GONE)
                frozen_id = before.id
    elif before is not None and not before.lasts and not missing:
        async with write(_PLATFORM) as tx:
            if not await store.update_asked(tx, before.id):
                raise Unavailable(_GONE)
    return Frozen(
        frozen_id=frozen_id or row.id,
        outline_version=outline.version,
        lessons=rules.lessons_with_content(kept.outline.blocks),
        blocks=len(rows),
        missing=tuple(missing),
    )


async def let_go(frozen_id: FrozenId) -> None:
    """Let go of what a frozen outline uses, for good. Safe to repeat.

    Its blocks stay, for learners of runs that ended with it. The same outline gets a new id when it is frozen again, so
    that a request that comes late lets go of nothing that was published since.
    """
    async with write(_PLATFORM) as tx:
        if await store.update_let_go(tx, frozen_id):
            await uses.use(tx, by=Ref("outline", frozen_id), org_id=None, things=())


async def expire_frozen(now: datetime, after: UUID | None = None) -> UUID | None:
    """Delete outlines that were frozen for a revision which never came: a batch after `after`; return where the next begins.

    A publication that is refused or killed after it froze the outline leaves one, and what it uses could never be deleted.
    """
    until = now - _UNCONFIRMED_FOR
    async with read() as db:
        waiting = await store.list_unconfirmed(db, until, after, _EXPIRE_BATCH)
    if not waiting:
        return None
    named = await client(CourseExistence, of="course").outlines_with_revisions(waiting)
    async with write(_PLATFORM) as tx:
        await store.update_confirmed(tx, named)
    for frozen_id in {outline.frozen_id for outline in waiting} - set(named):
        async with write(_PLATFORM) as tx:
            if await store.delete_unconfirmed(tx, frozen_id, until):
                await uses.use(tx, by=Ref("outline", frozen_id), org_id=None, things=())
    return waiting[-1].frozen_id


async def outline_of(frozen_id: FrozenId) -> FrozenOutline:
    """Return a frozen outline.

    Raises:
        OutlineNotFound
    """
    return (await memory.get(frozen_id)).outline
