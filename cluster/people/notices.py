"""Notices: what people are told when something happens, by whom it is offered and to whom it goes.

The service that emits an event offers a `Notice` of it and answers `NoticeSource` from its own tables. notification hears the
event, asks who is told and in which words, and keeps to what each person prefers; names and texts never enter an event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId

Channel = Literal["inbox", "push", "mail", "sms"]
Severity = Literal["low", "normal", "high", "security"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An offer: a notice of an event."""

    name: str
    """`<service>.<what happened>`: `course.published`."""
    title: str
    """What people switch on and off: "A course that I learn in has something new"."""
    event: type
    """The event that it tells of."""
    category: Literal["learning", "teaching", "community", "account", "security", "announcement", "marketing"]
    severity: Severity = "normal"
    """`security` passes quiet hours and cannot be switched off; `low` goes to the inbox and into digests alone."""
    channels: tuple[Channel, ...] = ("inbox", "push", "mail", "sms")
    """Where it may go; what people prefer narrows it."""
    audience: Literal["named", "learners", "members", "staff"] = "named"
    """`named`: `NoticeSource.recipients` says who is told. Else everybody of this relation to what the event names:
    `learners` and `staff` of its `run_id`, or else its `course_id`; `members` of its `org_id`."""
    topic: str | None = None
    """A field of the event: notices about the same value are one group of a digest, and in push a newer one replaces an older."""
    expires_after: timedelta | None = None
    """After this it is not sent any more; the inbox keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who is told, the language they read (BCP 47), and where their clock stands (IANA)."""

    user_id: UserId
    locale: str
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeText:
    """The words for one person. Plain text."""

    user_id: UserId
    title: str
    """At most 200 characters."""
    body: str
    """At most 2,000 characters; empty where the title says all."""
    url: str
    """Where the web app shows more, from the root: `/courses/<id>`."""
    org_id: OrgId | None = None
    course_id: UUID | None = None
    """To mute a course, and to group digests."""


def same_for_all(
    readers: Sequence[Reader],
    title: str,
    body: str = "",
    *,
    url: str,
    org_id: OrgId | None = None,
    course_id: UUID | None = None,
) -> list[NoticeText]:
    """Return the same words for everybody; `cluster.people.wording.worded` says them in the language of each."""
    return [
        NoticeText(user_id=each.user_id, title=title, body=body, url=url, org_id=org_id, course_id=course_id)
        for each in readers
    ]


def only(user_id: UUID | str | None, after: UUID | None) -> list[UserId]:
    """Return the one person of a `named` notice as the page after `after`; None: nobody."""
    if user_id is None or after is not None:
        return []
    return [UserId(user_id if isinstance(user_id, UUID) else UUID(user_id))]


class AudienceSource(Protocol):
    """A leaf: answered by enrollment (`learners`), organization (`members`) and rbac (`staff`), from their own tables."""

    async def audience(
        self, relation: str, place_kind: str, place_id: UUID, after: UUID | None, limit: int
    ) -> list[UserId]:
        """Return the people of this relation to a `run`, `course` or `organization`, after this id, by id."""
        ...


class NoticeSource(Protocol):
    """A leaf: answered by services that offer notices, from their own tables."""

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:
        """Return who is told of a `named` notice, after this id, by id. `event` is the payload of the event as JSON."""
        ...

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        """Return the words for these people, in their languages where there are translations.

        Whoever is missing is told nothing: what it was about is gone, or not theirs any more. Asked once more before each sending.
        """
        ...
