"""Use cases of blocks: add them to the working outline, change, move, delete and restore them.

Each one: permit, calls if any, one transaction that locks the outline, decides on its tree, writes and tells.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from api.learning.content import rules, text
from api.learning.content.block import store
from api.learning.content.block.store import Block, BlockBody, Changed, Content, ListedBlock
from api.learning.content.block_types import block_types
from api.learning.content.contract import (
    BlockCreated,
    BlockDeleted,
    BlockId,
    BlockModerated,
    BlockMoved,
    BlockNotFound,
    BlockRestored,
    BlockUpdated,
    BodyNotValid,
    OutlineChanged,
    OutlineNotFound,
    ParentIsDeleted,
    ReleaseAmbiguous,
    UnknownBlockType,
)
from api.learning.content.moderated.rules import MODERATED_KIND, words_of
from api.learning.content.outline.store import find_outline, lock_outline
from api.learning.content.things import things_of
from api.platform.moderation.contract import Place, look_later, screened
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.base.validation import field_errors
from cluster.data import Transaction, read, uses, write
from cluster.data.uses import Ref
from cluster.events import emit
from cluster.people.access import permit, permitted

RESTORABLE_FOR = timedelta(days=30)
"""How long a deleted block can be restored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBlock:
    """What an author says of a block to be."""

    course_id: UUID
    parent_id: BlockId | None
    type: str
    title: str
    body: dict[str, Any] | None = None
    position: int | None = None
    release_at: datetime | None = None
    release_after_days: int | None = None


@dataclass(frozen=True, slots=True)
class _CheckedBody:
    """A body that fits its type, its rendering, and what it names."""

    body: dict[str, Any]
    html: str | None
    renderer: int
    text_bytes: int
    things: dict[Ref, str]
    """What the block uses, and where the body names it."""
    uses_change: bool
    """Whether the body names something, or did before."""


async def create_block(caller: Principal, new: NewBlock) -> Block:
    """Put a new block into the working outline, at the end of its parent unless a position is given.

    Raises:
        UnknownBlockType, WrongParent, OutlineFull, BodyNotValid, ThingGone, ReleaseAmbiguous, TextRefused, AuthorMuted
    """
    outline = await permitted(caller, "course:edit", find_outline, new.course_id, missing=OutlineNotFound)
    _check_release(new.release_at, new.release_after_days)
    checked = await _check_body(new.type, new.body or {}, new.course_id, before={})
    place = Place(kind=MODERATED_KIND, org_id=outline.org_id)
    doubtful = await screened(words_of(new.title, checked.body), caller.id, place)
    content = Content(
        title=new.title,
        body=checked.body,
        html=checked.html,
        renderer=checked.renderer,
        text_bytes=checked.text_bytes,
        release_at=new.release_at,
        release_after_days=new.release_after_days,
    )
    block_id = BlockId(new_id())
    async with write(caller, result=block_id, status=201) as tx:
        tree = await _lock(tx, new.course_id)
        placed = tree.insert(block_id, new.type, new.parent_id, new.position, text_bytes=content.text_bytes)
        changed = await store.insert_block(
            tx,
            content,
            placed,
            block_id=block_id,
            course_id=new.course_id,
            org_id=outline.org_id,
            type=new.type,
            by=caller.id,
        )
        if doubtful:
            look_later(tx, MODERATED_KIND, block_id)
        if checked.uses_change:
            await _use(tx, changed.block, checked.things)
        _tell(tx, changed, BlockCreated(**_named(changed.block)))
    return changed.block


async def get_block(caller: Principal, block_id: BlockId) -> Block:
    return await _rendered(await _present(caller, "course:read", block_id))


async def list_blocks(
    caller: Principal, course_id: UUID, *, ids: list[BlockId] | None, after: str, limit: int
) -> list[ListedBlock]:
    """List the working outline in the order it is read."""
    async with read() as db:
        guarded = await store.find_blocks(db, course_id, ids=ids, after=after, limit=limit)
    listed = await permit(caller, "course:read", guarded, missing=OutlineNotFound)
    return [replace(each, block=await _rendered(each.block)) for each in listed]


async def list_deleted_blocks(
    caller: Principal, course_id: UUID, *, now: datetime, before: BlockId | None, limit: int
) -> list[Block]:
    """List the blocks that can be restored, newest first."""
    async with read() as db:
        guarded = await store.find_deleted_blocks(
            db, course_id, deleted_after=now - RESTORABLE_FOR, before=before, limit=limit
        )
    deleted = await permit(caller, "course:read", guarded, missing=OutlineNotFound)
    return [await _rendered(each) for each in deleted]


async def change_block(
    caller: Principal, block_id: BlockId, changes: dict[str, Any], expected_version: int, *, major: bool = False
) -> Block:
    """Change a block; its body is merged (RFC 7396). `major`: what learners completed before does not count any more.

    Raises:
        Stale: somebody changed it since.
        OutlineFull, BodyNotValid, ThingGone, ReleaseAmbiguous, TextRefused, AuthorMuted
        BlockModerated: a moderator removed it.
    """
    block = await _present(caller, "course:edit", block_id)
    if block.moderation_state is not None:
        raise BlockModerated(
            "delete it, or appeal: GET /v1/moderation-decisions lists the decisions about what you wrote"
        )
    if block.version != expected_version:
        raise Stale(block.version)
    checked = _CheckedBody(block.body, block.html, block.renderer, block.text_bytes, {}, False)
    if "body" in changes:
        merged = rules.merge_patch(block.body, changes["body"])
        checked = await _check_body(block.type, merged, block.course_id, before=block.body)
    title = changes.get("title", block.title)
    release_at, release_after_days = rules.released_by(block.release_at, block.release_after_days, changes)
    _check_release(release_at, release_after_days)
    rewritten = title != block.title or checked.body != block.body
    is_new_content = major or rewritten
    content_version = block.content_version + (1 if is_new_content else 0)
    content = Content(
        title=title,
        body=checked.body,
        html=checked.html,
        renderer=checked.renderer,
        text_bytes=checked.text_bytes,
        release_at=release_at,
        release_after_days=release_after_days,
        content_version=content_version,
        min_version=content_version if major else block.min_version,
    )
    words = words_of(title, checked.body) if rewritten else {}
    doubtful = await screened(words, caller.id, Place(kind=MODERATED_KIND, org_id=block.org_id))
    async with write(caller, result=block_id) as tx:
        tree = await _lock(tx, block.course_id)
        current = tree.node(block_id).version
        if current != expected_version:
            raise Stale(current)
        tree.check_room(0, content.text_bytes - block.text_bytes)
        changed = await store.update_block(tx, block, content, by=caller.id, rewritten=rewritten)
        if doubtful:
            look_later(tx, MODERATED_KIND, block_id)
        if checked.uses_change:
            await _use(tx, changed.block, checked.things)
        _tell(tx, changed, BlockUpdated(**_named(block), fields=tuple(sorted(changes))))
    return await _rendered(changed.block)


async def move_block(caller: Principal, block_id: BlockId, parent_id: BlockId | None, position: int | None) -> Block:
    """Put a block and all below it under `parent_id` at `position`, at the end without one.

    Raises:
        WrongParent
    """
    block = await _present(caller, "course:edit", block_id)
    async with write(caller, result=block_id) as tx:
        placed = (await _lock(tx, block.course_id)).move(block_id, parent_id, position)
        changed = await store.update_place(tx, block, placed)
        moved = BlockMoved(**_named(block), parent_id=placed.parent_id, position=placed.position)
        _tell(tx, changed, moved)
    return await _rendered(changed.block)


async def delete_block(caller: Principal, block_id: BlockId) -> None:
    """Take a block and all below it out of the working outline. It can be restored for 30 days.

    It lets go of what it uses: a film that only this block used can be deleted meanwhile.
    """
    block = await _present(caller, "course:edit", block_id)
    async with write(caller, result=block_id, status=204) as tx:
        tree = await _lock(tx, block.course_id)
        users = _users(tree.node(each) for each in tree.below(block_id))
        removed, shifted = tree.remove(block_id)
        changed = await store.update_deleted(tx, block, removed, shifted)
        if users:
            await uses.use_each(tx, {block_ref(each): () for each in users}, org_id=block.org_id)
        _tell(tx, changed, BlockDeleted(**_named(block)))


async def restore_block(caller: Principal, block_id: BlockId) -> Block:
    """Bring a deleted block back with all that was deleted with it. Restoring what is there changes nothing.

    Raises:
        BlockNotFound: it was deleted more than 30 days ago.
        ParentIsDeleted: restore the block that held it first.
        ThingGone: something that it used was deleted meanwhile; restore that first.
        OutlineFull
    """
    block = await permitted(caller, "course:edit", store.find_block, block_id, missing=BlockNotFound)
    if block.deleted_at is None:
        return await _rendered(block)
    if block.deleted_at < datetime.now(UTC) - RESTORABLE_FOR:
        raise BlockNotFound("a deleted block can be restored for 30 days")
    if block.deleted_root != block_id:
        raise ParentIsDeleted("restore the block that it was deleted with", deleted_block_id=str(block.deleted_root))
    async with read() as db:
        nodes = await store.list_deleted_with(db, block_id)
    async with write(caller, result=block_id) as tx:
        tree = await _lock(tx, block.course_id)
        changed = None
        if block_id not in tree:
            if block.parent_id is not None and block.parent_id not in tree:
                raise ParentIsDeleted("restore its parent first", deleted_block_id=str(block.parent_id))
            changed = await store.update_restored(tx, block, tree.graft(nodes))
            if users := _users(nodes):
                await use_things(tx, await store.list_bodies(tx, users), block.course_id, block.org_id)
            _tell(tx, changed, BlockRestored(**_named(block)))
    return await get_block(caller, block_id) if changed is None else await _rendered(changed.block)


async def purge_deleted(caller: Principal, limit: int) -> int:
    """Delete for good up to `limit` blocks that can no longer be restored, and return how many.

    A day later than that, so that no restoration is under way.
    """
    async with write(caller) as tx:
        return await store.delete_purged(tx, tx.now - RESTORABLE_FOR - timedelta(days=1), limit)


async def _present(caller: Principal, permission: str, block_id: BlockId) -> Block:
    """Return a block that is not deleted, if the caller may do this to it."""
    block = await permitted(caller, permission, store.find_block, block_id, missing=BlockNotFound)
    if block.deleted_at is not None:
        raise BlockNotFound(f"it was deleted; POST /v1/blocks/{block_id}/restore brings it back for 30 days")
    return block


async def _rendered(block: Block) -> Block:
    """Render a text again that an earlier release of the renderer made."""
    html = await text.current(block.html, block.renderer, block.body.get("markdown"))
    return block if html is block.html else replace(block, html=html)


async def _lock(tx: Transaction, course_id: UUID) -> rules.Tree:
    return rules.Tree(await lock_outline(tx, course_id), block_types())


def _named(block: Block) -> dict[str, Any]:
    return {"block_id": block.id, "type": block.type, "course_id": block.course_id, "org_id": block.org_id}


def _tell(tx: Transaction, changed: Changed, event: object) -> None:
    block = changed.block
    emit(tx, event, version=block.version)
    emit(
        tx,
        OutlineChanged(course_id=block.course_id, org_id=block.org_id, outline_version=changed.outline_version),
        version=changed.outline_version,
    )


def _check_release(release_at: datetime | None, release_after_days: int | None) -> None:
    if release_at is not None and release_after_days is not None:
        raise ReleaseAmbiguous("clear one of them by null", pointer="/release_after_days")


async def _check_body(type: str, body: dict[str, Any], course_id: UUID, *, before: dict[str, Any]) -> _CheckedBody:
    """Check a body against its type, and that what it names exists. What it named before is not asked again."""
    found = block_types().get(type)
    if found is None:
        raise UnknownBlockType(f"the types are {', '.join(sorted(block_types()))}", pointer="/type")
    if found.body is None:
        if body:
            raise BodyNotValid(f"a {type} has no body", pointer="/body")
        return _CheckedBody({}, None, text.RENDERER, 0, {}, False)
    try:
        checked = found.body.model_validate(body).model_dump(mode="json")
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", "body", *fault["loc"])} for fault in error.errors()]
        raise BodyNotValid(errors=field_errors(faults)) from None
    things, things_before = await things_of([(type, checked), (type, before)])
    await _check_things(things, things.keys() - things_before.keys(), course_id)
    html = await text.render(checked["markdown"]) if type == "text" else None
    return _CheckedBody(checked, html, text.RENDERER, len(orjson.dumps(checked)), things, bool(things or things_before))


async def _check_things(named: dict[Ref, str], new: Collection[Ref], course_id: UUID) -> None:
    # Of this course, not only of its organization: an editor of one course may not be allowed to see another's films.
    if not new:
        return
    async with read() as db:
        known = await uses.states(db, new)
    found = {ref for ref, thing in known.items() if thing.course_id in (None, course_id) and rules.may_be_shown(thing)}
    if missing := sorted(set(new) - found):
        raise uses.thing_gone(missing, named)


def block_ref(block_id: BlockId) -> Ref:
    """Name a block among the users of things."""
    return Ref("block", block_id)


def _users(nodes: Iterable[rules.Node]) -> list[BlockId]:
    """Return the blocks whose types use things."""
    return [node.id for node in nodes if block_types()[node.type].uses_things]


async def _use(tx: Transaction, block: Block, things: dict[Ref, str]) -> None:
    await uses.use(
        tx, by=block_ref(block.id), org_id=block.org_id, course_id=block.course_id, things=things, pointers=things
    )


async def use_things(tx: Transaction, bodies: Sequence[BlockBody], course_id: UUID, org_id: OrgId) -> None:
    """Have new or restored blocks with these bodies use what they name, all or none.

    Raises:
        ThingGone
    """
    things = await things_of([(each.type, each.body) for each in bodies])
    wanted = {block_ref(each.id): named for each, named in zip(bodies, things, strict=True)}
    if any(things):
        await uses.use_each(tx, wanted, org_id=org_id, course_id=course_id)
