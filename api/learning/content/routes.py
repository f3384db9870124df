"""HTTP of the working outline: parse, ask logic, render. What learners see has routes of its own."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.learning.content import logic, text
from api.learning.content.contract import (
    BlockId,
    BlockNotFound,
    BodyNotValid,
    Completes,
    OutlineFull,
    OutlineNotFound,
    ParentIsDeleted,
    ReleaseAmbiguous,
    UnknownBlockType,
    WrongParent,
)
from api.learning.content.outline.routes import router as outlines
from api.learning.content.store import Block, ListedBlock
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.data.uses import ThingGone
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, once, set_etag

router = Router("content")
router.include_router(outlines)

Title = Annotated[str, Field(min_length=1, max_length=200, examples=["What a film is"])]
Type = Annotated[str, Field(min_length=1, max_length=40, examples=["text"])]
Content = Annotated[
    dict[str, Any],
    Field(
        description="The content, by type: text {markdown}, video {video_id}; empty for a module and a lesson",
        examples=[{"markdown": "# Pictures that move\n\nTwenty-four of them each second."}],
    ),
]
Position = Annotated[int, Field(ge=0, le=100_000, description="Before the sibling there; left out: at the end")]
ReleaseAt = Annotated[
    AwareDatetime | None, Field(description="Time from which learners may open the block and its descendants")
]
ReleaseAfterDays = Annotated[
    int | None, Field(ge=0, le=3_650, description="Days from the start of the run until learners may open the block")
]


class NewBlock(Body):
    """A block to create in the working outline."""

    course_id: UUID
    parent_id: UUID | None = None
    type: Type
    title: Title
    body: Content | None = None
    position: Position | None = None
    release_at: ReleaseAt = None
    release_after_days: ReleaseAfterDays = None


class BlockChanges(Patch):
    """Changes of a block; the body is merged (RFC 7396)."""

    title: Title = ""
    body: Content = {}
    release_at: ReleaseAt = None
    release_after_days: ReleaseAfterDays = None
    major: Annotated[bool, Field(description="Learners who completed the block must complete it again")] = False

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"body": {"markdown": "Twenty-five of them each second."}}]}
    )


class Place(Body):
    """The new parent and position of a block."""

    parent_id: UUID | None
    position: Position | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"parent_id": "0198c0de-0000-7000-8000-000000000000", "position": 0}]}
    )


class BlockView(BaseModel):
    """A block of the working outline."""

    id: BlockId
    course_id: UUID
    organization_id: OrgId
    parent_id: BlockId | None
    type: str
    position: int
    title: str
    completes: Completes | None
    min_ratio: float | None
    body: dict[str, Any]
    html: str | None
    release_at: datetime | None
    release_after_days: int | None
    source_id: BlockId | None
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime


class BlockTypeView(BaseModel):
    """A block type, and the parents that it may have."""

    name: str
    title: str
    parents: list[str]
    completes: Completes | None
    min_ratio: float | None
    body_schema: dict[str, Any] | None


class BlockTypeList(BaseModel):
    items: list[BlockTypeView]


@router.post(
    "/v1/blocks",
    status_code=201,
    raises=(
        OutlineNotFound,
        UnknownBlockType,
        WrongParent,
        OutlineFull,
        BodyNotValid,
        ReleaseAmbiguous,
        ThingGone,
    ),
    example={
        "course_id": "0198c0de-0000-7000-8000-000000000000",
        "parent_id": "0198c0de-0000-7000-8000-000000000001",
        "type": "text",
        "title": "What a film is",
        "body": {"markdown": "# Pictures that move"},
    },
)
async def create_block(caller: Caller, new: NewBlock, response: Response) -> BlockView:
    """Add a block to the working outline of a course."""
    wanted = logic.NewBlock(
        course_id=new.course_id,
        parent_id=None if new.parent_id is None else BlockId(new.parent_id),
        type=new.type,
        title=new.title,
        body=new.body,
        position=new.position,
        release_at=new.release_at,
        release_after_days=new.release_after_days,
    )
    block = await once(
        response,
        logic.create_block(caller, wanted),
        partial(logic.get_block, caller),
    )
    response.headers["Location"] = f"/v1/blocks/{block.id}"
    return await _render(block, response)


@router.get("/v1/blocks", raises=(OutlineNotFound,))
async def list_blocks(
    caller: Caller,
    paging: Paging,
    course_id: UUID,
    state: Annotated[
        Literal["present", "deleted"], Query(description="`deleted`: what can be restored, newest first")
    ] = "present",
    id: Several[UUID] = None,
) -> Page[BlockView]:
    """List the blocks of the working outline depth first: a parent before its children, siblings by position."""
    if state == "deleted":
        before = paging.after(course=course_id, state=state)
        deleted = await logic.list_deleted_blocks(
            caller, course_id, before=BlockId(before[0]) if before else None, limit=paging.limit
        )
        return paging.page([await _view(block) for block in deleted], key=lambda view: view.id)
    after = paging.after(str, sort="path", course=course_id, state=state, id=id)
    ids = None if id is None else [BlockId(each) for each in id]
    listed = await logic.list_blocks(caller, course_id, ids=ids, after=after[0] if after else "", limit=paging.limit)
    views = {each.block.id: await _view(each.block) for each in listed}
    return paging.page(listed, key=_path, render=lambda each: views[each.block.id])


@router.get("/v1/blocks/-/types", public=True)
async def list_block_types() -> BlockTypeList:
    """List the block types and the schemas of their bodies."""
    return BlockTypeList(
        items=[
            BlockTypeView(
                name=type.name,
                title=type.title,
                parents=list(type.parents),
                completes=type.completes,
                min_ratio=type.min_ratio,
                body_schema=None if type.body is None else type.body.model_json_schema(),
            )
            for type in logic.block_types().values()
        ]
    )


@router.get("/v1/blocks/{block_id}", raises=(BlockNotFound,))
async def get_block(caller: Caller, block_id: UUID, response: Response) -> BlockView:
    """Return a block of the working outline."""
    return await _render(await logic.get_block(caller, BlockId(block_id)), response)


@router.patch(
    "/v1/blocks/{block_id}", raises=(BlockNotFound, OutlineFull, BodyNotValid, ThingGone, ReleaseAmbiguous, Stale)
)
async def change_block(
    caller: Caller, block_id: UUID, changes: BlockChanges, version: IfMatch, response: Response
) -> BlockView:
    """Change a block. Learners see the change when the course is next published."""
    wanted = changes.changes()
    major = wanted.pop("major", False)
    block = await once(
        response,
        logic.change_block(caller, BlockId(block_id), wanted, version, major=major),
        partial(logic.get_block, caller),
    )
    return await _render(block, response)


@router.post("/v1/blocks/{block_id}/move", raises=(BlockNotFound, WrongParent))
async def move_block(caller: Caller, block_id: UUID, place: Place, response: Response) -> BlockView:
    """Move a block and its descendants within the outline. Ids and learners' progress are kept."""
    parent_id = None if place.parent_id is None else BlockId(place.parent_id)
    block = await once(
        response,
        logic.move_block(caller, BlockId(block_id), parent_id, place.position),
        partial(logic.get_block, caller),
    )
    return await _render(block, response)


@router.delete("/v1/blocks/{block_id}", status_code=204, raises=(BlockNotFound,))
async def delete_block(caller: Caller, block_id: UUID) -> None:
    """Delete a block and its descendants from the working outline. They can be restored for 30 days."""
    await logic.delete_block(caller, BlockId(block_id))


@router.post("/v1/blocks/{block_id}/restore", raises=(BlockNotFound, ParentIsDeleted, ThingGone, OutlineFull))
async def restore_block(caller: Caller, block_id: UUID, response: Response) -> BlockView:
    """Restore a deleted block, and everything that was deleted with it, to its former place."""
    block = await once(
        response,
        logic.restore_block(caller, BlockId(block_id)),
        partial(logic.get_block, caller),
    )
    return await _render(block, response)


def _path(listed: ListedBlock) -> str:
    return listed.path


async def _render(block: Block, response: Response) -> BlockView:
    set_etag(response, block.version)
    return await _view(block)


async def _view(block: Block) -> BlockView:
    type = logic.block_types()[block.type]
    return BlockView(
        id=block.id,
        course_id=block.course_id,
        organization_id=block.org_id,
        parent_id=block.parent_id,
        type=block.type,
        position=block.position,
        title=block.title,
        completes=type.completes,
        min_ratio=type.min_ratio,
        body=block.body,
        html=await text.current(block.html, block.renderer, block.body.get("markdown")),
        release_at=block.release_at,
        release_after_days=block.release_after_days,
        source_id=block.source_id,
        deleted_at=block.deleted_at,
        created_at=block.created_at,
        updated_at=block.updated_at,
    )
