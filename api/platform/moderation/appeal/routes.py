"""HTTP of appeals."""

from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Response
from pydantic import Field

from api.platform.moderation.appeal import logic
from api.platform.moderation.contract import (
    AppealExists,
    AppealId,
    AppealNotFound,
    AppealOver,
    AppealState,
    AppealTaken,
    AppealTooLate,
    CaseId,
    DecisionId,
    DecisionNotFound,
    FirstJudge,
    HearingNeeded,
    NotAppealable,
    OwnMatter,
)
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View, once

router = Router("moderation")

Words = Annotated[str, Field(min_length=1, max_length=5000, examples=["It quotes the book that the course is about."])]


class NewAppeal(Body):
    """Why a decision is wrong."""

    decision_id: DecisionId
    text: Words


class NewMessage(Body):
    text: Words


class AppealAnswer(Body):
    """How an appeal ends, and why."""

    outcome: Literal["upheld", "reversed"]
    answer: Words


class AppealView(View):
    """An appeal: filed, heard by somebody else than the first judge, then upheld or reversed with an answer."""

    id: AppealId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    decision_id: DecisionId
    case_id: CaseId
    text: str
    state: AppealState
    answer: str
    messages: int
    heard_at: datetime | None
    created_at: datetime
    answered_at: datetime | None


class MessageView(View):
    """A question of the judge, or what the author says."""

    id: UUID
    role: Literal["judge", "author"]
    text: str
    created_at: datetime


APPEAL = Answer(get=logic.get_appeal, view=AppealView, path="/v1/appeals/{id}")


@router.post("/v1/appeals", status_code=201, raises=(DecisionNotFound, NotAppealable, AppealTooLate, AppealExists))
async def file_appeal(caller: Caller, new: NewAppeal, response: Response) -> AppealView:
    """Appeal against a decision about what one wrote, within six months."""
    return await APPEAL.created(response, caller, logic.file_appeal(caller, new.decision_id, new.text))


@router.get("/v1/appeals")
async def list_appeals(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    state: Several[AppealState] = None,
    id: Several[AppealId] = None,
) -> Page[AppealView]:
    """List one's own appeals, and those of places where one judges; newest first."""
    after = paging.after(org=organization_id, state=state, id=id)
    found = await logic.list_appeals(
        caller,
        org_id=organization_id,
        states=state,
        ids=id,
        before=AppealId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=AppealView.of)


@router.get("/v1/appeals/{appeal_id}", raises=(AppealNotFound,))
async def get_appeal(caller: Caller, appeal_id: AppealId, response: Response) -> AppealView:
    """Return an appeal."""
    return APPEAL.show(response, await logic.get_appeal(caller, appeal_id))


@router.post("/v1/appeals/{appeal_id}/hear", raises=(AppealNotFound, AppealOver, AppealTaken, FirstJudge, OwnMatter))
async def hear_appeal(caller: Caller, appeal_id: AppealId, response: Response) -> AppealView:
    """Take an appeal, as somebody else than the judge of the decision."""
    return await APPEAL.once(response, caller, logic.hear(caller, appeal_id))


@router.post("/v1/appeals/{appeal_id}/answer", raises=(AppealNotFound, AppealOver, HearingNeeded))
async def answer_appeal(caller: Caller, appeal_id: AppealId, answer: AppealAnswer, response: Response) -> AppealView:
    """Uphold or reverse a decision. A reversal restores the thing and its author's standing."""
    return await APPEAL.once(response, caller, logic.answer(caller, appeal_id, answer.outcome, answer.answer))


@router.post("/v1/appeals/{appeal_id}/messages", status_code=201, raises=(AppealNotFound, AppealOver, HearingNeeded))
async def send_message(caller: Caller, appeal_id: AppealId, new: NewMessage, response: Response) -> MessageView:
    """Ask the author something, or answer the judge."""
    work = logic.send_message(caller, appeal_id, new.text)
    message = await once(response, work, partial(logic.get_message, caller, appeal_id))
    response.headers["Location"] = f"/v1/appeals/{appeal_id}/messages"
    return MessageView.of(message)


@router.get("/v1/appeals/{appeal_id}/messages", raises=(AppealNotFound,))
async def list_messages(
    caller: Caller, appeal_id: AppealId, paging: Paging, id: Several[UUID] = None
) -> Page[MessageView]:
    """List the questions and answers of an appeal, the oldest first."""
    after = paging.after(sort="id", appeal=appeal_id, id=id)
    found = await logic.list_messages(caller, appeal_id, ids=id, after=after[0] if after else None, limit=paging.rows)
    return paging.page(found, render=MessageView.of)
