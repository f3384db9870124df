"""HTTP of letters, and of a laptop's mailbox."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.engagement.email.contract import Lane, LetterGone, LetterId, LetterNotFound, Standing
from api.engagement.email.letter import logic
from api.engagement.email.letter.logic import Shown
from cluster.base.ids import OrgId, UserId
from cluster.http import Answer, Caller, Page, Paging, Router, Several, View

router = Router("email")


class LetterView(View):
    """A letter and how it ended. Its address and words are nobody's to read but its reader's."""

    id: LetterId
    template: str
    category: str | None
    lane: Lane
    locale: str
    user_id: UserId | None
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    domain: str
    state: Standing
    reason: str | None
    attempts: int
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None


class AttemptView(View):
    """What a mail server, or SES, answered to one try; `status` is of RFC 3463."""

    number: int
    outcome: str
    code: int | None
    status: str | None
    reply: str
    carrier: str | None
    made_at: datetime


LETTER = Answer(get=logic.get_letter, view=LetterView)


@router.get("/v1/emails")
async def list_letters(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    id: Several[LetterId] = None,
    state: Annotated[Several[Standing], Query(description="How they stand")] = None,
) -> Page[LetterView]:
    """List the letters of organizations that the caller administrates, newest first."""
    after = paging.after(organization_id=organization_id, id=id, state=state)
    letters = await logic.list_letters(
        caller,
        org_id=organization_id,
        ids=id,
        states=state,
        before=LetterId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(letters, render=LetterView.of)


@router.get("/v1/emails/-/mailbox", public=True, include_in_schema=False)
async def list_mailbox(paging: Paging) -> Page[Shown]:
    """List the letters of a laptop's platform, newest first; everywhere else this path does not exist."""
    after = paging.after()
    return paging.page(await logic.list_mailbox(after[0] if after else None, paging.rows))


@router.get("/v1/emails/{letter_id}", raises=(LetterNotFound,))
async def get_letter(caller: Caller, letter_id: LetterId, response: Response) -> LetterView:
    """Return a letter."""
    return LETTER.show(response, await logic.get_letter(caller, letter_id))


@router.get("/v1/emails/{letter_id}/attempts", raises=(LetterNotFound,))
async def list_attempts(caller: Caller, letter_id: LetterId) -> list[AttemptView]:
    """List what mail servers answered to a letter, the first try first."""
    return [AttemptView.of(each) for each in await logic.list_attempts(caller, letter_id)]


@router.post("/v1/emails/{letter_id}/cancel", raises=(LetterNotFound, LetterGone))
async def cancel(caller: Caller, letter_id: LetterId, response: Response) -> LetterView:
    """Stop a letter that was not handed over yet."""
    return await LETTER.once(response, caller, logic.stop(caller, letter_id))
