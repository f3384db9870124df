"""HTTP of suppressions, and of the links by which readers unsubscribe."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field
from starlette.responses import HTMLResponse, Response

from api.engagement.email.contract import (
    LiftReason,
    NotLiftable,
    SuppressionId,
    SuppressionNotFound,
    SuppressionReason,
)
from api.engagement.email.suppression import logic
from api.engagement.email.suppression.pages import page
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, Language, Page, Paging, Router, Several, View

router = Router("email")


@router.get("/v1/emails/-/unsubscribe", public=True, include_in_schema=False)
async def ask_to_unsubscribe(language: Language, token: str = "") -> HTMLResponse:
    """Ask whether the reader of a letter wants no more of its kind. Programs open links in letters, so this changes nothing."""
    letter = await logic.find_unsubscribable(token)
    return page("unknown", language) if letter is None else page("ask", letter.locale)


@router.post("/v1/emails/-/unsubscribe", public=True, include_in_schema=False)
async def unsubscribe(language: Language, token: str = "") -> HTMLResponse:
    """Send the reader of a letter no more of its kind, by one click in a mail program (RFC 8058). Again changes nothing."""
    letter = await logic.unsubscribe(token)
    return page("unknown", language) if letter is None else page("done", letter.locale)


class NewSuppression(Body):
    """An address that gets no more letters of an organization, but those into an account."""

    organization_id: OrgId
    email: Annotated[str, Field(max_length=320, examples=["ada@people.example"])]


class SuppressionView(View):
    """Why an address gets no letters. The address itself is kept as a hash: name it to find it."""

    id: SuppressionId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    everywhere: bool
    """It stops the letters of all, and this organization's letter brought it about."""
    reason: SuppressionReason | Literal["manual"]
    category: str | None
    status: str | None
    letter_id: UUID | None
    created_at: datetime


SUPPRESSION = Answer(get=logic.get_suppression, view=SuppressionView, path="/v1/suppressions/{id}")


@router.get("/v1/suppressions")
async def list_suppressions(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    id: Several[SuppressionId] = None,
    email: Annotated[str | None, Query(max_length=320, description="Of this address")] = None,
) -> Page[SuppressionView]:
    """List which addresses get no letters, within the organizations that the caller administrates, newest first."""
    after = paging.after(organization_id=organization_id, id=id, email=email)
    found = await logic.list_suppressions(
        caller,
        org_id=organization_id,
        ids=id,
        email=email,
        before=SuppressionId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=SuppressionView.of)


@router.post("/v1/suppressions", status_code=201)
async def add_suppression(caller: Caller, new: NewSuppression, response: Response) -> SuppressionView:
    """Send an address no more letters of an organization, but those into an account. Again changes nothing."""
    return await SUPPRESSION.created(response, caller, logic.add(caller, new.organization_id, new.email))


@router.get("/v1/suppressions/{suppression_id}", raises=(SuppressionNotFound,))
async def get_suppression(caller: Caller, suppression_id: SuppressionId, response: Response) -> SuppressionView:
    """Return why an address gets no letters."""
    return SUPPRESSION.show(response, await logic.get_suppression(caller, suppression_id))


@router.delete("/v1/suppressions/{suppression_id}", status_code=204, raises=(SuppressionNotFound, NotLiftable))
async def lift_suppression(caller: Caller, suppression_id: SuppressionId, reason: LiftReason) -> None:
    """Send an address letters again. What bounces again stops again; what a reader gave up only they turn on again."""
    await logic.lift(caller, suppression_id, reason)
