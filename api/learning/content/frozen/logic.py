"""Use cases of frozen outlines: freeze the working outline, read a frozen one, let go of what it uses."""

from uuid import UUID

from api.learning.content import rules
from api.learning.content.block_types import block_types
from api.learning.content.contract import Frozen, FrozenId, FrozenOutline, OutlineNotFound
from api.learning.content.frozen import memory, store
from api.learning.content.frozen.rules import freeze as frozen_form
from api.learning.content.frozen.store import FrozenRow
from api.learning.content.outline.store import find_whole_outline
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.base.problems import Unavailable
from cluster.data import read, uses, write
from cluster.data.uses import Ref

_PLATFORM = platform("content")


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
        frozen_id = await store.find_frozen_id(db, course_id, sha256)
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
                frozen_id = await store.find_frozen_id(tx, course_id, sha256)
                if frozen_id is None:
                    raise Unavailable("the same outline was forgotten in this moment; repeat it")
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


async def outline_of(frozen_id: FrozenId) -> FrozenOutline:
    """Return a frozen outline.

    Raises:
        OutlineNotFound
    """
    return (await memory.get(frozen_id)).outline
