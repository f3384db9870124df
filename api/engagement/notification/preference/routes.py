"""HTTP of preferences."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Response
from pydantic import AwareDatetime, ConfigDict, Field

from api.engagement.notification.contract import Category, ChannelNotOffered, Pace, QuietHoursInvalid, TooManyMutes
from api.engagement.notification.preference import logic, rules
from api.engagement.notification.preference.logic import OwnPreference
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View, once, set_etag
from cluster.people.notices import Channel

router = Router("notification")

Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])]
Weekday = Annotated[int, Field(ge=1, le=7, description="1 is Monday (ISO 8601)")]
InboxPace = Literal["at_once", "off"]


class ChannelView(View):
    """How the person is told by one channel."""

    pace: Pace
    locked: bool
    """The organization has decided it."""


class CategoryView(View):
    category: Category
    inbox: ChannelView
    push: ChannelView
    mail: ChannelView
    sms: ChannelView | None
    """null: this platform sends no text messages."""


class QuietHours(Body):
    """Hours without letters and messages; one that does not end after it begins lasts past midnight."""

    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)]
    begins: Clock
    ends: Clock


class PreferenceView(View):
    """How a person is told. `quiet_hours` are hours of their time zone."""

    categories: list[CategoryView]
    quiet_hours: list[QuietHours]
    do_not_disturb_until: datetime | None
    digest_hour: int
    digest_weekday: int
    mail_works: bool


class ChannelsPatch(Patch):
    """Paces of the channels of a category; null goes back to the default."""

    inbox: InboxPace | None = None
    push: Pace | None = None
    mail: Pace | None = None
    sms: Pace | None = None


class SecurityPatch(Patch):
    """The one choice there is: what concerns security goes by every other channel at once."""

    sms: InboxPace | None = None


class CategoriesPatch(Patch):
    """Choices by category; what concerns security cannot be switched off, but text messages may be on."""

    learning: ChannelsPatch | None = None
    teaching: ChannelsPatch | None = None
    community: ChannelsPatch | None = None
    account: ChannelsPatch | None = None
    security: SecurityPatch | None = None
    announcement: ChannelsPatch | None = None
    marketing: ChannelsPatch | None = None


class PreferencePatch(Patch):
    categories: CategoriesPatch = CategoriesPatch()
    quiet_hours: Annotated[list[QuietHours], Field(max_length=rules.MAX_WINDOWS)] = []
    do_not_disturb_until: AwareDatetime | None = None
    digest_hour: Annotated[int, Field(ge=0, le=23)] = 8
    digest_weekday: Weekday = 1

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "categories": {"learning": {"mail": "daily"}},
                    "quiet_hours": [{"weekdays": [1, 2, 3, 4, 5], "begins": "22:00", "ends": "07:00"}],
                }
            ]
        }
    )


class MuteView(View):
    """A course of which the person wants to hear nothing."""

    course_id: UUID
    created_at: datetime


@router.get("/v1/notification-preferences/me")
async def get_preference(caller: Caller, response: Response, organization_id: OrgId | None = None) -> PreferenceView:
    """Return how the caller is told: outside of organizations, or of what happens in one of theirs."""
    return _show(response, await logic.get_preference(caller, organization_id))


@router.patch("/v1/notification-preferences/me", raises=(Stale, QuietHoursInvalid, ChannelNotOffered))
async def change_preference(
    caller: Caller, changes: PreferencePatch, version: IfMatch, response: Response
) -> PreferenceView:
    """Change how the caller is told. What is held waits for the new choices."""
    sent = changes.changes()
    if "categories" in sent:
        sent["channels"] = sent.pop("categories")
    if "quiet_hours" in sent:
        sent["quiet_hours"] = [each.model_dump() for each in changes.quiet_hours]
    work = logic.change_preference(caller, sent, version)
    return _show(response, await once(response, work, lambda id: logic.get_own_preference(caller, id)))


@router.get("/v1/notification-preferences/me/courses")
async def list_muted_courses(caller: Caller, paging: Paging, id: Several[UUID] = None) -> Page[MuteView]:
    """List the courses that the caller has muted."""
    after = paging.after(sort="course_id", id=id)
    found = await logic.list_muted(caller, ids=id, after=after[0] if after else None, limit=paging.rows)
    return paging.page(found, key=lambda mute: mute.course_id, render=MuteView.of)


@router.put("/v1/notification-preferences/me/courses/{course_id}", raises=(TooManyMutes,))
async def mute_course(caller: Caller, course_id: UUID) -> MuteView:
    """Mute a course: it is neither pushed nor mailed, and its notices come archived."""
    return MuteView.of(await logic.mute_course(caller, course_id))


@router.delete("/v1/notification-preferences/me/courses/{course_id}", status_code=204)
async def unmute_course(caller: Caller, course_id: UUID) -> None:
    """Hear of a course again."""
    await logic.unmute_course(caller, course_id)


def _show(response: Response, own: OwnPreference) -> PreferenceView:
    set_etag(response, own.version)
    preference = own.preference
    categories = [
        CategoryView(
            category=category,
            inbox=_channel(own, category, "inbox"),
            push=_channel(own, category, "push"),
            mail=_channel(own, category, "mail"),
            sms=_channel(own, category, "sms") if own.texting else None,
        )
        for category in rules.CATEGORIES
    ]
    return PreferenceView(
        categories=categories,
        quiet_hours=[QuietHours(**each) for each in preference.quiet_hours],
        do_not_disturb_until=preference.do_not_disturb_until,
        digest_hour=preference.digest_hour,
        digest_weekday=preference.digest_weekday,
        mail_works=preference.mail_works,
    )


def _channel(own: OwnPreference, category: Category, channel: Channel) -> ChannelView:
    if category == "security" and channel != "sms":
        return ChannelView(pace="at_once", locked=True)
    pace, locked = rules.choice_of(category, channel, chosen=own.preference.channels, defaults=own.defaults)
    return ChannelView(pace=pace, locked=locked)
