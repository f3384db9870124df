"""Personal data of notification: inboxes, what was sent, and how people want to be told."""

from cluster.people.privacy import FreeText, PersonalData

_TOLD = "tells a person what happened"
_YEAR = "a year"

PERSONAL_DATA = (
    PersonalData(
        table="notification.notifications",
        person="user_id",
        columns=(
            *("user_id", "notice_slug", "category", "severity", "topic_key", "org_id", "course_id", "title", "body"),
            *("url", "state", "created_at", "read_at"),
        ),
        purpose=_TOLD,
        kept=_YEAR,
        erasure="delete",
        organization="org_id",
        merge="delete",
    ),
    PersonalData(
        table="notification.occasions",
        person="user_id",
        columns=("user_id", "notice_slug", "payload", "org_id", "happened_at"),
        purpose="tells whom it concerns of an event about a person",
        kept="60 days",
        erasure="delete",
        organization="org_id",
        merge="delete",
    ),
    PersonalData(
        table="notification.announcements",
        person="created_by",
        columns=("created_by", "title", "text", "sent_at"),
        purpose="tells an organization who announced something to its people",
        kept="a year after it was sent",
        erasure="clear",
        clear_to={"created_by": None},
        organization="org_id",
        merge="move",
    ),
    PersonalData(
        table="notification.people",
        person="user_id",
        columns=("user_id", "seq", "unread"),
        purpose="counts what a person has not read",
        kept="as long as the account",
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="notification.changes",
        person="user_id",
        columns=("user_id", "kind", "up_to_seq", "at"),
        purpose="shows on every device what was read on one",
        kept=_YEAR,
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="notification.deliveries",
        person="user_id",
        columns=("user_id", "channel", "state", "reason", "due_at", "created_at"),
        purpose="says by which channels a person was told, or why not",
        kept=_YEAR,
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="notification.delivery_log",
        person="user_id",
        columns=("user_id", "state", "reason", "status", "at"),
        purpose="says what became of each attempt to tell a person",
        kept=_YEAR,
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="notification.batches",
        person="user_id",
        columns=("user_id", "channel", "created_at"),
        purpose="keeps a person from getting too much at once",
        kept="2 days",
        erasure="delete",
        merge="delete",
    ),
    PersonalData(
        table="notification.preferences",
        person="user_id",
        columns=(
            *("user_id", "channels", "quiet_hours", "do_not_disturb_until", "digest_hour", "digest_weekday"),
            *("mail_works", "unsubscribed", "updated_at"),
        ),
        purpose="tells a person how and when they want",
        kept="as long as the account",
        erasure="delete",
        merge="move_unless_present",
    ),
    PersonalData(
        table="notification.mutes",
        person="user_id",
        columns=("user_id", "course_id", "created_at"),
        purpose="tells a person nothing of courses of which they want to hear nothing",
        kept="as long as the account",
        erasure="delete",
        merge="move_unless_present",
    ),
    PersonalData(
        table="notification.devices",
        person="user_id",
        columns=("user_id", "name", "endpoint", "p256dh", "auth_secret", "created_at", "last_delivered_at", "ended_at"),
        purpose="tells a person in their browsers",
        kept="until 30 days after the browser is removed or signed out",
        erasure="delete",
        merge="move",
        secret=("endpoint", "p256dh", "auth_secret"),
    ),
    PersonalData(
        table="notification.phones",
        person="user_id",
        columns=("user_id", "number", "confirmed_at", "ended_at", "end_reason"),
        purpose="tells a person by text messages",
        kept="until the person removes it, or 30 days after it ended",
        erasure="delete",
        merge="move_unless_present",
    ),
    PersonalData(
        table="notification.phone_codes",
        person="user_id",
        columns=("user_id", "number", "code_mac", "tries", "created_at"),
        purpose="proves that a phone is a person's, and limits how many codes are sent",
        kept="2 days",
        erasure="delete",
        merge="delete",
        secret=("code_mac",),
    ),
)
FREE_TEXT = (
    FreeText(
        table="notification.announcements", columns=("title", "text"), holds="what staff announced to their people"
    ),
    FreeText(
        table="notification.occasions",
        columns=("payload", "error"),
        holds="ids, states and times of events, and why the words of one could not be had",
    ),
)
