"""HTTP of outlines as learners see them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Response

from api.learning.content.contract import BlockId, Completes, FrozenBlock, OutlineNotFound
from api.learning.content.rules import is_released
from api.learning.content.run import logic
from api.learning.content.run.logic import Opened
from api.learning.content.run.store import RunState
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden
from cluster.http import AnswersOfShown, Caller, Router, View, text_response

router = Router("content")


class OutlineBlock(View):
    """A block with its descendants. A block that is not released has a title, but no body and no HTML."""

    id: BlockId
    type: str
    title: str
    version: int
    completes: Completes | None
    min_ratio: float | None
    body: dict[str, Any] | None
    html: str | None
    released: bool
    release_at: datetime | None
    children: "list[OutlineBlock]"


class OutlineView(View):
    """The outline of a run. `revision` is null for the working outline."""

    course_id: UUID
    run_id: UUID
    revision: int | None
    blocks: list[OutlineBlock]


async def _shown(caller: Principal, path: Mapping[str, str]) -> RunState | None:
    try:
        run_id = UUID(path["run_id"])
    except ValueError:
        return None
    return await logic.undated_outline(caller, run_id)


_OUTLINES = AnswersOfShown("content.outlines", shown=_shown)


@router.get("/v1/outlines/{run_id}", raises=(OutlineNotFound, Forbidden), response_model=OutlineView, kept=_OUTLINES)
async def get_outline(
    caller: Caller,
    run_id: UUID,
    draft: Annotated[bool, Query(description="Return the working outline instead, for editors of the course")] = False,
) -> Response:
    """Return the outline of a run, with all texts: its newest revision or its pinned one."""
    now = datetime.now(UTC)
    opened = await (logic.preview_outline if draft else logic.open_outline)(caller, run_id, now)
    head = orjson.dumps(
        {"course_id": opened.run.course_id, "run_id": run_id, "revision": None if draft else opened.run.revision}
    )
    return text_response(head[:-1] + b',"blocks":' + _blocks(opened) + b"}", "application/json")


def _blocks(opened: Opened) -> bytes:
    """Render the tree. While nothing in it has a date, all learners are sent the same bytes."""
    dated = any(time is not None for time in opened.release_times.values())
    if dated:
        return orjson.dumps(_tree(opened), option=orjson.OPT_UTC_Z)
    if opened.kept.rendered_open is None:
        opened.kept.rendered_open = orjson.dumps(_tree(opened))
    return opened.kept.rendered_open


def _tree(opened: Opened) -> list[Mapping[str, Any]]:
    top: list[Mapping[str, Any]] = []
    children: dict[BlockId | None, list[Mapping[str, Any]]] = {None: top}
    for block in opened.kept.outline.blocks:
        children[block.id] = []
        children[block.parent_id].append(_block(opened, block, children[block.id]))
    return top


def _block(opened: Opened, block: FrozenBlock, children: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    release_at = opened.release_times[block.id]
    released = is_released(release_at, opened.now)
    shown = released or opened.preview
    return {
        "id": block.id,
        "type": block.type,
        "title": block.title,
        "version": block.version,
        "completes": block.completes,
        "min_ratio": block.min_ratio,
        "body": block.body if shown else None,
        "html": opened.kept.html.get(block.id) if shown else None,
        "released": released,
        "release_at": release_at,
        "children": children,
    }
