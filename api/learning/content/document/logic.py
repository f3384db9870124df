"""Keep what people find of a course as its runs show it, and say who may open it."""

import asyncio
import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import nh3

from api.learning.content import rules, text
from api.learning.content.contract import BlockId, DocumentCourse, FrozenId, LessonDocumentsChanged
from api.learning.content.document import store
from api.learning.content.document.store import Found, Place, Shown
from api.learning.content.frozen import memory
from cluster.base.principal import Principal
from cluster.base.problems import Unavailable
from cluster.data import read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import Reach

_IDS_OF_AN_EVENT = 200
_BEGUN_AT_ONCE = 500
_TRIES = 3


async def document_course(caller: Principal, course_id: UUID) -> None:
    """Compare what is found of a course with what its runs show now, and tell what changed. Safe to repeat.

    Raises:
        Unavailable: it is published again and again in this moment.
    """
    for _ in range(_TRIES):
        async with read() as db:
            shown = await store.list_shown(db, course_id)
            outlines = await store.list_outlines(db, [each.frozen_id for each in shown])
        found = await asyncio.to_thread(_all_found, shown, outlines)
        async with write(caller) as tx:
            await tx.take_turns("content.documents", course_id)
            if await store.list_shown(tx, course_id) != shown:
                continue
            changed = await store.upsert_found(tx, course_id, shown[0].org_id, found) if shown else []
            changed += await store.update_gone(tx, course_id, [each.id for each in found])
            lots = [changed[first : first + _IDS_OF_AN_EVENT] for first in range(0, len(changed), _IDS_OF_AN_EVENT)]
            documented = await store.update_documented(tx, course_id, len(lots))
            if documented is None:
                return
            for number, ids in enumerate(lots):
                event = LessonDocumentsChanged(course_id=course_id, org_id=documented.org_id, document_ids=tuple(ids))
                emit(tx, event, version=documented.documents_version - number)
        return
    raise Unavailable("this course is published again and again in this moment")


async def begin(caller: Principal) -> None:
    """Look at courses that were never looked at."""
    async with write(caller) as tx:
        for course_id in await store.list_never_documented(tx, _BEGUN_AT_ONCE):
            enqueue(tx, DocumentCourse(course_id=course_id), dedupe=DocumentCourse.dedupe(course_id))


async def openable(ids: list[UUID], attends: Reach, edits: Reach, now: datetime) -> list[UUID]:
    """Return those of these documents whose blocks may be opened now in some run, as `may_open` decides.

    `attends`: where the person holds `run:attend`; dates do not hold them back where they edit.
    """
    async with read() as db:
        places = await store.list_places(
            db,
            ids,
            everywhere=attends.everywhere,
            org_ids=attends.org_ids,
            course_ids=attends.course_ids,
            run_ids=attends.run_ids,
        )
    open_ids: set[UUID] = set()
    times: dict[tuple[UUID, datetime | None], dict[BlockId, datetime | None]] = {}
    for place in places:
        if place.id in open_ids:
            continue
        edited = _covers(edits, place)
        if place.hidden or not edited:
            key = (place.frozen_id, place.starts_at)
            if key not in times:
                kept = (await memory.get(place.frozen_id)).without(frozenset(place.hidden))
                times[key] = rules.release_times(kept.outline.blocks, place.starts_at)
            if place.block_id not in times[key]:
                continue
            if not edited and not rules.is_released(times[key][place.block_id], now):
                continue
        open_ids.add(place.id)
    return [id for id in ids if id in open_ids]


def _covers(reach: Reach, place: Place) -> bool:
    return (
        reach.everywhere
        or place.org_id in reach.org_ids
        or place.course_id in reach.course_ids
        or place.run_id in reach.run_ids
    )


def _all_found(shown: list[Shown], outlines: Mapping[FrozenId, list[dict[str, Any]]]) -> list[Found]:
    return [found for each in shown for found in _found(each, outlines[each.frozen_id])]


def _found(shown: Shown, blocks: Sequence[Mapping[str, Any]]) -> Iterator[Found]:
    """Return the blocks of an outline that teach something: each with the titles of the module and lesson around it."""
    paths: dict[str | None, list[str]] = {None: []}
    hidden = {str(each) for each in shown.hidden}
    for block in blocks:
        if block["id"] in hidden or block["parent_id"] in hidden:
            hidden.add(block["id"])
            continue
        above = paths[block["parent_id"]]
        paths[block["id"]] = [*above, block["title"]]
        if block["completes"] is None:
            continue
        block_id = BlockId(UUID(block["id"]))
        yield Found(
            id=uuid5(shown.frozen_id, str(block_id)) if shown.pinned else block_id,
            block_id=block_id,
            frozen_id=shown.frozen_id,
            type=block["type"],
            title=block["title"],
            path=above,
            text=_plain(block),
            language=shown.language,
            run_ids=shown.run_ids,
        )


def _plain(block: Mapping[str, Any]) -> str:
    """Return the words of a block, without marks of any language."""
    markdown = block["body"].get("markdown")
    if markdown is None:
        return ""
    shown = block["html"] if block["renderer"] == text.RENDERER else text.render_now(markdown)
    return html.unescape(nh3.clean(shown or "", tags=set())).strip()
