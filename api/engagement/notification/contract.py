"""Values, events, jobs and problems of notification."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from cluster.events import event
from cluster.jobs import job

NotificationId = NewType("NotificationId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
DeviceId = NewType("DeviceId", UUID)
AnnouncementId = NewType("AnnouncementId", UUID)

State = Literal["unread", "read", "archived"]
AnnouncementState = Literal["draft", "scheduled", "sending", "sent", "stopped", "withdrawn"]
StopReason = Literal["right_ended"]
"""Why an announcement was stopped that nobody stopped."""
DeviceKind = Literal["web_push", "fcm", "apns"]
"""Who brings it: a browser's push service, Google's or Apple's."""
Category = Literal["learning", "teaching", "community", "account", "security", "announcement", "marketing"]
AwayChannel = Literal["push", "mail", "sms"]
"""Channels beside the inbox."""
AWAY_CHANNELS: tuple[AwayChannel, ...] = ("push", "mail", "sms")
ToldChannel = Literal["push", "mail"]
"""Those of which events tell; another release reads them too."""
Pace = Literal["at_once", "hourly", "daily", "weekly", "off"]
DeliveryState = Literal["planned", "held", "sending", "delivered", "failed", "skipped"]
ToldReason = Literal[
    "off",
    "muted",
    "no_device",
    "no_address",
    "read",
    "expired",
    "withdrawn",
    "quiet",
    "digest",
    "rate",
    "unreachable",
    "refused",
    "retried",
    "bounced",
]
Reason = ToldReason | Literal["no_number", "budget", "not_offered"]
"""Why it is held, skipped or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEvent:
    """Told of one channel of one notification. It belongs to the person alone, so it names no organization."""

    delivery_id: DeliveryId
    notification_id: NotificationId
    user_id: UserId
    channel: ToldChannel
    org_id: OrgId | None = None


@event("notification.delivered", subject="delivery_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationDelivered(DeliveryEvent):
    """The channel took it over."""


@event("notification.failed", subject="delivery_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFailed(DeliveryEvent):
    reason: ToldReason


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementEvent:
    """Told of what staff say to the learners of a run or a course, or to the members of an organization."""

    announcement_id: AnnouncementId
    org_id: OrgId
    course_id: UUID | None
    run_id: UUID | None


@event("staff_announcement.sent", subject="announcement_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementSent(AnnouncementEvent):
    """Its people are told from now on."""


@event("staff_announcement.revised", subject="announcement_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementRevised(AnnouncementEvent):
    """Those who were told read another text now."""


@event("staff_announcement.stopped", subject="announcement_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementStopped(AnnouncementEvent):
    """Nobody further is told."""


@event("staff_announcement.withdrawn", subject="announcement_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementWithdrawn(AnnouncementEvent):
    """It is taken out of the inboxes."""


@job("notification.announce", attempts=20, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Sends an announcement at the time it was scheduled for."""

    announcement_id: AnnouncementId
    send_at: datetime

    @staticmethod
    def dedupe(announcement_id: AnnouncementId) -> str:
        return f"announce:{announcement_id}"


@job("notification.follow_announcement", attempts=20, timeout_s=120)
@dataclass(frozen=True, slots=True, kw_only=True)
class FollowAnnouncement:
    """Brings the inboxes to what an announcement says now: its words, or nothing."""

    announcement_id: AnnouncementId


@job("notification.spread", attempts=6, timeout_s=120)
@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Tells everybody whom a notice of an event concerns."""

    occasion_id: UUID


@job("notification.deliver", attempts=20, timeout_s=120, lane="quick", concurrency=6)
@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Sends what is due by a channel to the people of one shard."""

    channel: ToldChannel
    shard: int

    @property
    def dedupe(self) -> str:
        return f"deliver:{self.channel}:{self.shard}"


@job("notification.deliver_texts", attempts=20, timeout_s=120, lane="quick", concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverTexts:
    """Sends the text messages that are due to the people of one shard."""

    shard: int

    @property
    def dedupe(self) -> str:
        return f"deliver:sms:{self.shard}"


def delivering(channel: AwayChannel, shard: int) -> Deliver | DeliverTexts:
    """Return the job that sends what is due by a channel."""
    return DeliverTexts(shard=shard) if channel == "sms" else Deliver(channel=channel, shard=shard)


class NotificationNotFound(NotFound):
    title = "There is no such notification"


class AnnouncementNotFound(NotFound):
    title = "There is no such announcement"


class AnnouncementPlaceInvalid(Invalid):
    title = "An announcement goes to one run, course or organization"


class AnnouncementStateConflict(Conflict):
    title = "The announcement is not in a state for this"


class DeviceNotFound(NotFound):
    title = "There is no such device"


class TooManyDevices(Conflict):
    title = "You have too many devices"


class TooManyMutes(Conflict):
    title = "You have muted too many courses"


class EndpointRefused(Invalid):
    title = "This is no address of a push service"


class DeviceKindNotOffered(Invalid):
    title = "Nobody is told in such an app here"


class DeviceTokenInvalid(Invalid):
    title = "This is no token of an app"


class PushKeysInvalid(Invalid):
    title = "The keys of the subscription are not valid"


class ChannelNotOffered(Invalid):
    title = "Nobody is told by this channel here"


class PhoneInvalid(Invalid):
    title = "This is no number of a mobile phone"


class PhoneCodeWrong(Invalid):
    title = "The code is not the one that was sent"


class TextingOff(Conflict):
    title = "This platform sends no text messages"


class TooManyCodes(TooManyRequests):
    title = "Too many codes were sent"


class ReplyRefused(Forbidden):
    title = "The reply is not signed by the provider"


class QuietHoursInvalid(Invalid):
    title = "The quiet hours are not valid"
