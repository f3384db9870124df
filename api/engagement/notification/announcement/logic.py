"""Use cases of announcements: write, count, send now or later, change, stop and withdraw."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from api.engagement.notification.announcement import store
from api.engagement.notification.announcement.store import Announcement, AnnouncementFilter
from api.engagement.notification.contract import (
    Announce,
    AnnouncementEvent,
    AnnouncementId,
    AnnouncementNotFound,
    AnnouncementPlaceInvalid,
    AnnouncementRevised,
    AnnouncementSent,
    AnnouncementStateConflict,
    AnnouncementStopped,
    AnnouncementWithdrawn,
    FollowAnnouncement,
    NotificationId,
)
from api.engagement.notification.inbox.logic import get_notification
from api.learning.course.contract import CourseCalls, CourseId, RunId
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden, NotFound, Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import cancel_jobs, enqueue
from cluster.people.access import named, permit, reach_of, within
from cluster.people.calls import client


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose people are told: the learners of a run or of a course, or the members of an organization."""

    org_id: OrgId | None = None
    course_id: CourseId | None = None
    run_id: RunId | None = None


async def create_announcement(caller: Principal, place: Place, *, title: str, text: str, now: datetime) -> Announcement:
    """Write an announcement, and send it to nobody yet.

    Raises:
        AnnouncementPlaceInvalid: it names none of the places, or several, or one that is not there for the caller.
    """
    caller.person()
    org_id, course_id, run_id = await _locate(caller, place, now)
    await permit(caller, _permission("write", course_id), within(org_id=org_id, course_id=course_id, run_id=run_id))
    announcement_id = AnnouncementId(new_id())
    async with write(caller, result=announcement_id, status=201) as tx:
        announcement = Announcement(
            id=announcement_id,
            org_id=org_id,
            course_id=course_id,
            run_id=run_id,
            title=title,
            text=text,
            state="draft",
            created_by=caller.id,
            created_at=tx.now,
            updated_at=tx.now,
        )
        await store.insert_announcement(tx, announcement)
    return announcement


async def _locate(caller: Principal, place: Place, now: datetime) -> tuple[OrgId, CourseId | None, RunId | None]:
    if (place.org_id, place.course_id, place.run_id).count(None) != 2:
        raise AnnouncementPlaceInvalid("name one of run_id, course_id and organization_id", pointer="/run_id")
    if place.org_id is not None:
        return place.org_id, None, None
    if place.course_id is not None:
        unknown = AnnouncementPlaceInvalid("no published course has this id", pointer="/course_id")
        published = await client(CourseCalls).find_published(place.course_id)
        course = await named(caller, published and published.guarded(place.course_id), unknown=unknown)
        return course.org_id, place.course_id, None
    assert place.run_id is not None, "one of three is named"
    unknown = AnnouncementPlaceInvalid("no run of a published course has this id", pointer="/run_id")
    found = await client(CourseCalls).find_open_run(place.run_id, now)
    run = (await named(caller, found and found.guarded(), unknown=unknown)).run
    return run.org_id, run.course_id, run.id


def _permission(verb: str, course_id: UUID | None) -> str:
    return f"staff-announcement:{verb}" if course_id else f"staff-announcement:{verb}-organization"


async def _permitted(caller: Principal, verb: str, announcement_id: AnnouncementId) -> Announcement:
    async with read() as db:
        found = await store.find_announcement(db, announcement_id)
    guarded = None if found is None else store.guarded(found)
    permission = _permission(verb, None if found is None else found.course_id)
    return await permit(caller, permission, guarded, missing=AnnouncementNotFound)


async def get_announcement(caller: Principal, announcement_id: AnnouncementId) -> Announcement:
    return await _permitted(caller, "read", announcement_id)


async def list_announcements(
    caller: Principal, wanted: AnnouncementFilter, *, before: AnnouncementId | None, limit: int
) -> list[Announcement]:
    of_courses = await reach_of(caller, "staff-announcement:read")
    of_organizations = await reach_of(caller, "staff-announcement:read-organization")
    async with read() as db:
        return await store.list_announcements(
            db, wanted, of_courses=of_courses, of_organizations=of_organizations, before=before, limit=limit
        )


async def get_announcement_of(caller: Principal, notification_id: NotificationId) -> Announcement:
    """Return the announcement that the caller was told of, as it is now."""
    await get_notification(caller, notification_id)
    async with read() as db:
        found = await store.find_of_notification(db, notification_id)
    if found is None or found.state == "withdrawn":
        raise AnnouncementNotFound
    return found


async def change_announcement(
    caller: Principal, announcement_id: AnnouncementId, changes: dict[str, Any], expected_version: int
) -> Announcement:
    """Change the words; those who were told read the new ones.

    Raises:
        Stale: somebody changed it since.
        AnnouncementStateConflict: it is withdrawn.
    """
    await _permitted(caller, "write", announcement_id)
    async with write(caller, result=announcement_id) as tx:
        present = await _lock(tx, announcement_id)
        if present.version != expected_version:
            raise Stale(present.version)
        if present.state == "withdrawn":
            raise AnnouncementStateConflict("write a new one")
        is_told = present.sent_at is not None
        changed = await _update(tx, replace(present, **changes, revised=present.revised or is_told))
        if is_told:
            _tell(tx, AnnouncementRevised, changed)
            enqueue(tx, FollowAnnouncement(announcement_id=announcement_id))
    return await get_announcement(caller, announcement_id)


async def send_announcement(
    caller: Principal, announcement_id: AnnouncementId, send_at: datetime | None
) -> Announcement:
    """Tell its people, now or at a time; a later call moves that time. Then the caller's right is asked again.

    Raises:
        AnnouncementStateConflict: it was sent, stopped midway or withdrawn.
    """
    await _permitted(caller, "write", announcement_id)
    async with write(caller, result=announcement_id) as tx:
        present = await _lock(tx, announcement_id)
        if present.state not in ("draft", "scheduled") and present.stop_reason is None:
            raise AnnouncementStateConflict(f"it is {present.state}: write a new one")
        present = replace(present, sent_by=caller.id, stop_reason=None)
        if send_at is None or send_at <= tx.now:
            await send(tx, present)
        else:
            await _update(tx, replace(present, state="scheduled", send_at=send_at))
            job = Announce(announcement_id=announcement_id, send_at=send_at)
            enqueue(tx, job, at=send_at, dedupe=Announce.dedupe(announcement_id), replace=True)
    return await get_announcement(caller, announcement_id)


async def send(tx: Transaction, present: Announcement) -> None:
    """Send a locked announcement."""
    cancel_jobs(tx, Announce, Announce.dedupe(present.id))
    _tell(tx, AnnouncementSent, await _update(tx, replace(present, state="sending", sent_at=tx.now)))


async def send_if_still_permitted(platform: Principal, found: Announcement) -> bool:
    """Send a scheduled announcement if it is due, or stop it when who scheduled it may not announce there any more.

    Return False when it was changed since it was read; then nothing is done.
    """
    entitled = await _is_entitled(found)
    async with write(platform) as tx:
        present = await store.lock_announcement(tx, found.id)
        if present is None or present.version != found.version:
            return False
        if present.send_at is None or present.send_at > tx.now:
            return True
        if entitled:
            await send(tx, present)
        else:
            await _end(tx, replace(present, state="stopped", stop_reason="right_ended"), AnnouncementStopped)
    return True


async def _is_entitled(found: Announcement) -> bool:
    """Ask the owners of the relations whether who scheduled it may announce there now."""
    sender = found.sent_by or found.created_by
    if sender is None:
        # The account was erased.
        return False
    try:
        await permit(
            Principal(kind="person", id=sender),
            _permission("write", found.course_id),
            within(org_id=found.org_id, course_id=found.course_id, run_id=found.run_id),
            fresh=True,
        )
    except (Forbidden, NotFound):
        return False
    return True


async def stop_announcement(caller: Principal, announcement_id: AnnouncementId) -> Announcement:
    """Tell nobody further; one that is scheduled is a draft again.

    Raises:
        AnnouncementStateConflict: nothing is being sent.
    """
    await _permitted(caller, "write", announcement_id)
    async with write(caller, result=announcement_id) as tx:
        present = await _lock(tx, announcement_id)
        match present.state:
            case "scheduled":
                cancel_jobs(tx, Announce, Announce.dedupe(announcement_id))
                await _update(tx, replace(present, state="draft", send_at=None))
            case "sending":
                await _end(tx, replace(present, state="stopped"), AnnouncementStopped)
            case "stopped":
                pass
            case _:
                raise AnnouncementStateConflict(f"it is {present.state}")
    return await get_announcement(caller, announcement_id)


async def withdraw_announcement(caller: Principal, announcement_id: AnnouncementId) -> Announcement:
    """Take it out of the inboxes, and tell nobody any more. It stays withdrawn."""
    await _permitted(caller, "write", announcement_id)
    async with write(caller, result=announcement_id) as tx:
        present = await _lock(tx, announcement_id)
        if present.state != "withdrawn":
            cancel_jobs(tx, Announce, Announce.dedupe(announcement_id))
            await _end(tx, replace(present, state="withdrawn"), AnnouncementWithdrawn)
            enqueue(tx, FollowAnnouncement(announcement_id=announcement_id))
    return await get_announcement(caller, announcement_id)


async def _end(tx: Transaction, ended: Announcement, event: type[AnnouncementEvent]) -> None:
    if ended.occasion_id is not None:
        await store.update_stopped(tx, ended.occasion_id)
    _tell(tx, event, await _update(tx, ended))


async def _lock(tx: Transaction, announcement_id: AnnouncementId) -> Announcement:
    found = await store.lock_announcement(tx, announcement_id)
    if found is None:
        raise AnnouncementNotFound
    return found


async def _update(tx: Transaction, changed: Announcement) -> Announcement:
    return replace(changed, version=await store.update_announcement(tx, changed))


def _tell(tx: Transaction, event: type[AnnouncementEvent], of: Announcement) -> None:
    told = event(announcement_id=of.id, org_id=of.org_id, course_id=of.course_id, run_id=of.run_id)
    emit(tx, told, version=of.version)
