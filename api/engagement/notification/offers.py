"""What notification contributes: permissions about one's own, the live inbox, and what an organization chooses for its people."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from api.engagement.email.contract import LetterBounced, LetterTemplate
from api.engagement.notification.contract import AnnouncementSent, AnnouncementStopped, Category, Pace
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.notices import Channel, Notice, NoticeSource
from cluster.people.org_settings import Setting
from cluster.people.topics import Topic, TopicSource


class Default(TypedDict):
    """How people are told by one channel unless they choose otherwise; when it is locked they cannot."""

    pace: Pace
    locked: NotRequired[bool]


Defaults = dict[Category, dict[Channel, Default]]

DEFAULTS: Setting[Defaults] = Setting(
    name="notification.defaults",
    title="How people are told when they do not choose: by category and channel, and what they cannot change",
    type=Defaults,
    default={},
)
LETTERS_PER_HOUR = Setting(
    name="notification.letters_per_hour",
    title="How many letters a person gets in an hour before further notices wait for one letter together",
    type=Annotated[int, Field(ge=1, le=100)],
    default=4,
    permission="organization:edit-platform",
    lockable=False,
)
TEXT_SEGMENTS = Setting(
    name="notification.text_segments",
    title="How many segments of text messages are sent for an organization in a month; then people are told otherwise",
    type=Annotated[int, Field(ge=0, le=10_000_000)],
    default=1000,
    permission="organization:edit-platform",
    lockable=False,
)

OFFERS = (
    Answers(TopicSource),
    Answers(NoticeSource),
    Notice(
        name="notification.mail_bounced",
        title="Letters do not reach you",
        event=LetterBounced,
        category="account",
        severity="high",
        channels=("inbox", "push", "sms"),
    ),
    Notice(
        name="notification.course_announcement",
        title="Staff of a course that you learn in announce something",
        event=AnnouncementSent,
        category="announcement",
        audience="learners",
    ),
    Notice(
        name="notification.organization_announcement",
        title="An organization of yours announces something",
        event=AnnouncementSent,
        category="announcement",
        audience="members",
    ),
    Notice(
        name="notification.announcement_stopped",
        title="What you wanted to announce was not sent, because you may not announce there any more",
        event=AnnouncementStopped,
        category="teaching",
        severity="high",
    ),
    LetterTemplate(name="notification.one", title="One notification", lane="personal", fields=("title", "body", "url")),
    LetterTemplate(
        name="notification.security",
        title="What concerns the security of an account",
        lane="security",
        fields=("title", "body", "url"),
    ),
    LetterTemplate(
        name="notification.digest",
        title="Several notifications in one letter",
        lane="personal",
        fields=("title", "lines", "more", "url"),
    ),
    DEFAULTS,
    LETTERS_PER_HOUR,
    TEXT_SEGMENTS,
    Topic(
        name="inbox", title="What a person is told, and what they have read", permission="notification:read", kind="log"
    ),
    Permission("notification:read", "See what one was told", roles=("self",)),
    Permission("notification:edit", "Read and archive what one was told", roles=("self",)),
    Permission("notification-preference:read", "See how one is told", roles=("self",)),
    Permission(
        "notification-preference:read-organization",
        "See how an organization's people are told",
        roles=("member", "learner", "org_owner", "org_admin"),
    ),
    Permission("notification-preference:edit", "Choose how one is told", roles=("self",)),
    Permission(
        "staff-announcement:read",
        "See what is announced in a course",
        roles=("org_owner", "org_admin", "instructor", "assistant"),
    ),
    Permission(
        "staff-announcement:write",
        "Announce something to the learners of a course",
        roles=("org_owner", "org_admin", "instructor"),
    ),
    Permission(
        "staff-announcement:read-organization",
        "See what is announced in an organization",
        roles=("org_owner", "org_admin"),
    ),
    Permission(
        "staff-announcement:write-organization",
        "Announce something to the members of an organization",
        roles=("org_owner", "org_admin"),
    ),
    Permission("device:read", "See where one is told", roles=("self",)),
    Permission("device:edit", "Choose where one is told", roles=("self",)),
)
