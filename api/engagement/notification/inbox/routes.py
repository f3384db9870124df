"""HTTP of an inbox."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from api.engagement.notification.contract import (
    AwayChannel,
    Category,
    DeliveryState,
    DeviceId,
    NotificationId,
    NotificationNotFound,
    Reason,
    State,
)
from api.engagement.notification.inbox import logic
from api.engagement.notification.inbox.store import InboxFilter
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View, once
from cluster.people.notices import Severity

router = Router("notification")


class NotificationView(View):
    """What the caller was told. `notice` is the name of what it is about; `seq` grows with each of their notifications."""

    id: NotificationId
    seq: int
    notice: Annotated[str, Field(validation_alias="notice_slug")]
    category: Category
    severity: Severity
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    course_id: UUID | None
    title: str
    body: str
    url: str
    state: State
    created_at: datetime
    read_at: datetime | None


class CounterView(View):
    """How much is unread, and the newest number of the inbox."""

    unread: int
    seq: int


class ReadUpTo(Body):
    """Everything up to this number is read."""

    up_to_seq: Annotated[int, Field(ge=0, le=2**62, examples=[42])]


class LogEntryView(View):
    """What became of one attempt, and when it will be tried again."""

    state: DeliveryState
    reason: Reason | None
    device_id: DeviceId | None
    status: int | None
    due_at: datetime | None
    at: datetime


class DeliveryView(View):
    """How far telling it by one channel is; `reason`: why it is held, was skipped or failed.

    `not_offered`: what it is about is not told by this channel at all, or the platform has no provider for it. `no_number`: no
    phone is confirmed. `budget`: the organization's text messages of this month are used up.
    """

    channel: AwayChannel
    state: DeliveryState
    reason: Reason | None
    due_at: datetime
    log: list[LogEntryView]


class DeliveriesView(View):
    items: list[DeliveryView]


NOTIFICATION = Answer(get=logic.get_notification, view=NotificationView, path="/v1/notifications/{id}")
_SHOWN: list[State] = ["unread", "read"]


@router.get("/v1/notifications")
async def list_notifications(
    caller: Caller,
    paging: Paging,
    state: Several[State] = None,
    category: Several[Category] = None,
    organization_id: OrgId | None = None,
    course_id: UUID | None = None,
    id: Several[NotificationId] = None,
) -> Page[NotificationView]:
    """List what the caller was told, newest first; what they archived only when asked for."""
    after = paging.after(int, sort="-seq", state=state, category=category, org=organization_id, course=course_id, id=id)
    wanted = InboxFilter(
        states=state or _SHOWN, categories=category, org_id=organization_id, course_id=course_id, ids=id
    )
    found = await logic.list_notifications(caller, wanted, before=after[0] if after else None, limit=paging.rows)
    return paging.page(found, key=lambda each: each.seq, render=NotificationView.of)


@router.get("/v1/notifications/-/count")
async def count_unread(caller: Caller) -> CounterView:
    """Return how much is unread."""
    return CounterView.of(await logic.get_counter(caller))


@router.post("/v1/notifications/-/read")
async def read_up_to(caller: Caller, read: ReadUpTo, response: Response) -> CounterView:
    """Mark everything up to a number as read. It is not mailed any more."""
    work = logic.read_up_to(caller, read.up_to_seq)
    return CounterView.of(await once(response, work, lambda id: logic.get_counter_of(caller, id)))


@router.get("/v1/notifications/{notification_id}", raises=(NotificationNotFound,))
async def get_notification(caller: Caller, notification_id: NotificationId, response: Response) -> NotificationView:
    """Return one notification."""
    return NOTIFICATION.show(response, await logic.get_notification(caller, notification_id))


@router.post("/v1/notifications/{notification_id}/read", raises=(NotificationNotFound,))
async def read_notification(caller: Caller, notification_id: NotificationId, response: Response) -> NotificationView:
    """Mark a notification as read."""
    return await NOTIFICATION.once(response, caller, logic.set_state(caller, notification_id, "read"))


@router.post("/v1/notifications/{notification_id}/unread", raises=(NotificationNotFound,))
async def unread_notification(caller: Caller, notification_id: NotificationId, response: Response) -> NotificationView:
    """Mark a notification as unread, or bring it back from the archive. It is not sent again."""
    return await NOTIFICATION.once(response, caller, logic.set_state(caller, notification_id, "unread"))


@router.post("/v1/notifications/{notification_id}/archive", raises=(NotificationNotFound,))
async def archive_notification(caller: Caller, notification_id: NotificationId, response: Response) -> NotificationView:
    """Put a notification away."""
    return await NOTIFICATION.once(response, caller, logic.set_state(caller, notification_id, "archived"))


@router.get("/v1/notifications/{notification_id}/deliveries", raises=(NotificationNotFound,))
async def list_deliveries(caller: Caller, notification_id: NotificationId) -> DeliveriesView:
    """Return by which channels a notification was told beside the inbox, or why it was not."""
    found = await logic.list_deliveries(caller, notification_id)
    at = found.of.created_at
    reasons: list[tuple[list[AwayChannel], Reason]] = [(found.off, "off"), (found.not_offered, "not_offered")]
    not_told = [
        DeliveryView(channel=channel, state="skipped", reason=reason, due_at=at, log=[])
        for channels, reason in reasons
        for channel in channels
    ]
    return DeliveriesView(
        items=[
            DeliveryView(
                channel=each.channel,
                state=each.state,
                reason=each.reason,
                due_at=each.due_at,
                log=[LogEntryView.of(entry) for entry in log],
            )
            for each, log in found.planned
        ]
        + not_told
    )
