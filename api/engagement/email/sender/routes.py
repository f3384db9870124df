"""HTTP of senders."""

from datetime import date, datetime
from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from api.engagement.email.contract import SenderExists, SenderId, SenderNotFound, SenderState
from api.engagement.email.sender import logic
from api.engagement.email.sender.rules import Kind, RecordState
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("email")


class NewSender(Body):
    """Who writes an organization's letters: an address at a domain whose DNS the organization writes."""

    organization_id: Annotated[OrgId | None, Field(description="Left out: the platform itself")] = None
    address: Annotated[str, Field(max_length=320, examples=["office@school.example"])]
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["School"])]


class RecordView(View):
    """A TXT record that DNS must have. `value` is what to copy there; null where nothing is to be done."""

    kind: Kind
    name: str
    state: RecordState
    value: str | None
    found: list[str]


class WarmUpView(View):
    """How a sender warms up. `sent_today`: new letters, but for those into accounts; `limit_today` is null when it is over."""

    steps: list[int]
    started_on: date
    ends_on: Annotated[date, Field(description="The first day without a limit")]
    time_zone: str
    limit_today: int | None
    sent_today: int


class SenderView(View):
    """Who writes letters. While it is not `verified`, the platform writes them; `records` says what DNS lacks."""

    id: SenderId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    domain: str
    address: Annotated[str, Field(validation_alias="mail_from")]
    name: str
    state: SenderState
    records: list[RecordView]
    checked_at: datetime | None
    created_at: datetime
    warm_up: WarmUpView | None


SENDER = Answer(get=logic.get_sender, view=SenderView, etag="version", path="/v1/senders/{id}")


@router.get("/v1/senders")
async def list_senders(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[SenderId] = None
) -> Page[SenderView]:
    """List the senders of organizations that the caller administrates, newest first."""
    after = paging.after(organization_id=organization_id, id=id)
    senders = await logic.list_senders(
        caller, org_id=organization_id, ids=id, before=SenderId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(senders, render=SenderView.of)


@router.post("/v1/senders", status_code=201, raises=(SenderExists,))
async def create_sender(caller: Caller, new: NewSender, response: Response) -> SenderView:
    """Name who writes an organization's letters. Its `records` are what to put into DNS; then ask for `check`."""
    work = logic.create_sender(caller, new.organization_id, address=new.address, name=new.name)
    return await SENDER.created(response, caller, work)


@router.get("/v1/senders/{sender_id}", raises=(SenderNotFound,))
async def get_sender(caller: Caller, sender_id: SenderId, response: Response) -> SenderView:
    """Return a sender, with what DNS had at the last check."""
    return SENDER.show(response, await logic.get_sender(caller, sender_id))


@router.post("/v1/senders/{sender_id}/check", raises=(SenderNotFound,))
async def check_sender(caller: Caller, sender_id: SenderId, response: Response) -> SenderView:
    """Ask DNS now. It is asked every day by itself, every hour while a record is missing."""
    return await SENDER.once(response, caller, logic.check_sender(caller, sender_id))


@router.post("/v1/senders/{sender_id}/rotate", raises=(SenderNotFound,))
async def rotate_keys(caller: Caller, sender_id: SenderId, response: Response) -> SenderView:
    """Make new keys. They sign once DNS has both; leave the old ones in DNS for a week after that."""
    return await SENDER.once(response, caller, logic.rotate_keys(caller, sender_id))


@router.delete("/v1/senders/{sender_id}", status_code=204, raises=(SenderNotFound,))
async def delete_sender(caller: Caller, sender_id: SenderId) -> None:
    """Delete a sender. The platform writes the organization's letters again."""
    await logic.delete_sender(caller, sender_id)
