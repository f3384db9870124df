"""HTTP of announcements by staff."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import AwareDatetime, ConfigDict, Field

from api.engagement.notification.announcement import logic, reach
from api.engagement.notification.announcement.logic import Place
from api.engagement.notification.announcement.store import Announcement, AnnouncementFilter
from api.engagement.notification.announcement.text import html_of
from api.engagement.notification.contract import (
    AnnouncementId,
    AnnouncementNotFound,
    AnnouncementPlaceInvalid,
    AnnouncementState,
    AnnouncementStateConflict,
    NotificationId,
    NotificationNotFound,
    StopReason,
)
from api.learning.course.contract import CourseId, RunId
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, OrganizationId, Page, Paging, Patch, Router, Several, View

router = Router("notification")

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Markdown = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
_PATH = "/v1/staff-announcements/{announcement_id}"


class NewAnnouncement(Body):
    """An announcement to one of these: the learners of a run, those of a course, the members of an organization."""

    run_id: RunId | None = None
    course_id: CourseId | None = None
    organization_id: OrgId | None = None
    title: Title
    text: Markdown = ""
    """Markdown (CommonMark)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "run_id": "01890a5d-ac96-774b-bcce-b302099a8057",
                    "title": "No lesson on Friday",
                    "text": "We go on **next week**.",
                }
            ]
        }
    )


class AnnouncementPatch(Patch):
    title: Title = ""
    text: Markdown = ""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "No lesson on Thursday"}]})


class Sending(Body):
    """When it is sent; null: now."""

    send_at: Annotated[AwareDatetime | None, Field(examples=["2031-05-04T07:00:00Z"])] = None


class AnnouncementView(View):
    """An announcement. `told`: how many people have it so far; `text`: Markdown.

    `stop_reason`: why it was stopped when nobody did; it may be sent again.
    `right_ended`: who scheduled it may not announce there any more.
    """

    id: AnnouncementId
    organization_id: OrganizationId
    course_id: UUID | None
    run_id: UUID | None
    title: str
    text: str
    state: AnnouncementState
    stop_reason: StopReason | None
    send_at: datetime | None
    sent_at: datetime | None
    told: int
    created_at: datetime
    updated_at: datetime


class ReachView(View):
    """How many people would be told now, and by which channels. `mail`: if they do not read it within ten minutes."""

    people: int
    inbox: int
    push: int
    mail: int


class AnnouncementTextView(View):
    """An announcement as those read it who were told."""

    title: str
    html: str
    sent_at: datetime | None
    updated_at: datetime


ANNOUNCEMENT = Answer(
    get=logic.get_announcement, view=AnnouncementView, etag="version", path="/v1/staff-announcements/{id}"
)


@router.post("/v1/staff-announcements", status_code=201, raises=(AnnouncementPlaceInvalid,))
async def create_announcement(caller: Caller, new: NewAnnouncement, response: Response) -> AnnouncementView:
    """Write an announcement; it is sent by a further request."""
    place = Place(org_id=new.organization_id, course_id=new.course_id, run_id=new.run_id)
    work = logic.create_announcement(caller, place, title=new.title, text=new.text, now=datetime.now(UTC))
    return await ANNOUNCEMENT.created(response, caller, work)


@router.get("/v1/staff-announcements")
async def list_announcements(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    course_id: UUID | None = None,
    run_id: UUID | None = None,
    state: Several[AnnouncementState] = None,
    id: Several[AnnouncementId] = None,
) -> Page[AnnouncementView]:
    """List the announcements of the courses and organizations of whose staff the caller is, newest first."""
    after = paging.after(org=organization_id, course=course_id, run=run_id, state=state, id=id)
    wanted = AnnouncementFilter(org_id=organization_id, course_id=course_id, run_id=run_id, states=state, ids=id)
    before = AnnouncementId(after[0]) if after else None
    found = await logic.list_announcements(caller, wanted, before=before, limit=paging.rows)
    return paging.page(found, render=AnnouncementView.of)


@router.get(_PATH, raises=(AnnouncementNotFound,))
async def get_announcement(caller: Caller, announcement_id: AnnouncementId, response: Response) -> AnnouncementView:
    """Return an announcement, and how many people have it."""
    return ANNOUNCEMENT.show(response, await logic.get_announcement(caller, announcement_id))


@router.get(_PATH + "/reach", raises=(AnnouncementNotFound,))
async def count_reach(caller: Caller, announcement_id: AnnouncementId) -> ReachView:
    """Count who would be told if it were sent now."""
    return ReachView.of(await reach.count(await logic.get_announcement(caller, announcement_id)))


@router.patch(_PATH, raises=(AnnouncementNotFound, AnnouncementStateConflict, Stale))
async def change_announcement(
    caller: Caller, announcement_id: AnnouncementId, changes: AnnouncementPatch, version: IfMatch, response: Response
) -> AnnouncementView:
    """Change the words, also of one that was sent: inboxes show the new ones."""
    work = logic.change_announcement(caller, announcement_id, changes.changes(), version)
    return await ANNOUNCEMENT.once(response, caller, work)


@router.post(_PATH + "/send", raises=(AnnouncementNotFound, AnnouncementStateConflict))
async def send_announcement(
    caller: Caller, announcement_id: AnnouncementId, sending: Sending, response: Response
) -> AnnouncementView:
    """Tell everybody whom it concerns, now or at a time. Each is told once.

    At that time it is asked again whether who scheduled it may announce there; if not, it stops, and they are told so.
    """
    return await ANNOUNCEMENT.once(response, caller, logic.send_announcement(caller, announcement_id, sending.send_at))


@router.post(_PATH + "/stop", raises=(AnnouncementNotFound, AnnouncementStateConflict))
async def stop_announcement(caller: Caller, announcement_id: AnnouncementId, response: Response) -> AnnouncementView:
    """Tell nobody further. Those who have it keep it; what was only scheduled is a draft again."""
    return await ANNOUNCEMENT.once(response, caller, logic.stop_announcement(caller, announcement_id))


@router.post(_PATH + "/withdraw", raises=(AnnouncementNotFound,))
async def withdraw_announcement(
    caller: Caller, announcement_id: AnnouncementId, response: Response
) -> AnnouncementView:
    """Take an announcement out of all inboxes, and send it to nobody any more."""
    return await ANNOUNCEMENT.once(response, caller, logic.withdraw_announcement(caller, announcement_id))


@router.get("/v1/notifications/{notification_id}/announcement", raises=(NotificationNotFound, AnnouncementNotFound))
async def get_announcement_text(caller: Caller, notification_id: NotificationId) -> AnnouncementTextView:
    """Return the announcement that a notification of the caller tells of."""
    found: Announcement = await logic.get_announcement_of(caller, notification_id)
    return AnnouncementTextView(
        title=found.title, html=html_of(found.text), sent_at=found.sent_at, updated_at=found.updated_at
    )
