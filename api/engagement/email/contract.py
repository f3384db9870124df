"""What other services may know of email: the letters that they send, the templates that they offer, and what became of letters."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, Invalid, NotFound, TooLarge
from cluster.events import event
from cluster.jobs import job

LetterId = NewType("LetterId", UUID)
SuppressionId = NewType("SuppressionId", UUID)
SenderId = NewType("SenderId", UUID)
ReceivedId = NewType("ReceivedId", UUID)
LetterTemplateId = NewType("LetterTemplateId", UUID)

Lane = Literal["security", "personal", "bulk"]
State = Literal[
    "queued",
    "sending",
    "deferred",
    "sent",
    "delivered",
    "bounced",
    "complained",
    "cancelled",
    "suppressed",
    "expired",
    "refused",
]
Standing = State | Literal["held"]
"""Where a letter stands, as people see it. `held`: it is queued, and its organization is suspended."""
TemplateState = Literal["draft", "published", "retired"]
SenderState = Literal["unverified", "verified", "failing"]
SuppressionReason = Literal["bounced", "complained", "unsubscribed"]
LiftReason = Literal["mailbox_works", "reader_asked", "mistake"]

MOST_LETTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterTemplate:
    """An offer: a letter that a service sends.

    Its sources stand in the service's folder, `letters/<letter>.<locale>.mjml`, one for "en" at least: MJML with Liquid, whose
    `<mj-title>` is the subject. A source that leaves `<mjml>`, head, body and section out gets the frame that all letters have.
    """

    name: str
    """`<service>.<letter>`: `auth.reset`."""
    title: str
    """What it is for, as an organization sees it that changes its text."""
    lane: Lane
    """`security`: somebody waits for it, it goes whatever is suppressed; `personal`: about one's own things; `bulk`: to many."""
    fields: tuple[str, ...]
    """What a letter must bring along; HTML in it is shown as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRoute:
    """An offer: a service hears what people answer to its letters, by `email.received` and `EmailCalls.find_received`."""

    name: str
    """At most 14 small letters: answers go to `<name>+<token>@`."""
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Whoever gets the letter may answer it by mail."""

    route: str
    """The name of a `ReplyRoute`."""
    subject_id: UUID
    """What it is about, as the service of the route knows it: a thread."""
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLetter:
    """A letter to send. Sent again with the same id it changes nothing."""

    id: UUID
    template: str
    to: str
    """An e-mail address, without a name."""
    locale: str
    """BCP 47; a template without it falls back to the language alone, then to English."""
    user_id: UserId | None
    org_id: OrgId | None
    """The organization in whose name it is written: its text, its sender."""
    fields: dict[str, str]
    expires_at: datetime | None
    """It is not sent any more after this."""
    category: str | None = None
    """What its reader can unsubscribe from by one click, per organization; None: there is nothing to unsubscribe from."""
    reply: ReplyTo | None = None
    """Needs `user_id`. None: nobody reads what is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterState:
    """Where a letter stands. `refused`: it cannot be sent as it is, and `reason` says why."""

    id: UUID
    state: State
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMail:
    """What a person answered to a letter, without what they quoted. Their address is the letter's, and was proven."""

    id: ReceivedId
    route: str
    subject_id: UUID
    user_id: UserId
    org_id: OrgId | None
    text: str
    received_at: datetime


class EmailCalls(Protocol):
    """What email answers."""

    async def send(self, letters: list[NewLetter]) -> list[LetterState]:
        """Take up to 500 letters, in one transaction, and return where each stands, in the same order.

        A letter that cannot be sent as it is (an unknown template, a missing field, no address) is `refused` and not kept.

        Raises:
            TooManyAtOnce
        """
        ...

    async def cancel(self, letter_ids: list[UUID]) -> list[LetterState]:
        """Stop letters that were not handed over yet; unknown ones are missing from the answer.

        Raises:
            TooManyAtOnce
        """
        ...

    async def find_received(self, received_id: ReceivedId) -> ReceivedMail | None:
        """Return what `email.received` told of, for 7 days."""
        ...

    async def allow(self, to: str, org_id: OrgId | None, category: str) -> None:
        """Undo that the reader of an address unsubscribed from a category: they turned it on again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterEvent:
    """Who gets a letter and in whose name; never an address."""

    letter_id: LetterId
    org_id: OrgId | None
    user_id: UserId | None
    template: str


@event("letter.sent", subject="letter_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSent(LetterEvent):
    """A mail server took the letter over."""


@event("letter.bounced", subject="letter_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LetterBounced(LetterEvent):
    """It reached nobody. `hard`: there is no such address; else nobody took it for two days, or its mailbox is full."""

    hard: bool
    status: str
    """RFC 3463: `5.1.1`."""


@event("letter.complained", subject="letter_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LetterComplained(LetterEvent):
    """Its reader called it spam."""


@event("letter.unsubscribed", subject="letter_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LetterUnsubscribed(LetterEvent):
    """Its reader wants no more letters of this category from this organization."""

    category: str


@event("email.received", subject="received_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReceived:
    """Somebody answered a letter. `EmailCalls.find_received` has the words."""

    received_id: ReceivedId
    route: str
    subject_id: UUID
    user_id: UserId
    org_id: OrgId | None


@event("address.suppressed", subject="suppression_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSuppressed:
    """An address gets no more letters, but those that somebody asks for to get into an account."""

    suppression_id: SuppressionId
    org_id: OrgId | None
    reason: SuppressionReason


@event("address.blocked", subject="suppression_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBlocked:
    """An organization's staff stopped its letters to an address, but those that somebody asks for to get into an account."""

    suppression_id: SuppressionId
    org_id: OrgId


@event("address.allowed", subject="suppression_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAllowed:
    """Somebody lifted what stopped letters to an address."""

    suppression_id: SuppressionId
    org_id: OrgId | None
    reason: LiftReason


@job("email.let_go", attempts=20, timeout_s=120, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """Lets letters to many go on that waited while their organization was suspended."""

    org_id: OrgId


@job("email.look_again", attempts=20, timeout_s=120, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class LookAgain:
    """Has letters looked at again that wait for the next day of a warm-up plan: it was changed."""

    sender_id: SenderId


@job("email.deliver_security", attempts=20, timeout_s=900, lane="quick", concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverSecurity:
    """Hands over letters that somebody waits for."""


@job("email.deliver_personal", attempts=20, timeout_s=900, concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverPersonal:
    """Hands over letters about people's own things."""


@job("email.deliver_bulk", attempts=20, timeout_s=900, lane="bulk", concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverBulk:
    """Hands over letters to many."""


class LetterNotFound(NotFound):
    title = "There is no such letter"


class LetterTemplateNotFound(NotFound):
    title = "There is no such text"


class TemplateNotDraft(Conflict):
    title = "The text is no draft"


class TooManyDrafts(Conflict):
    title = "There are too many drafts"


class NotYourAddress(Invalid):
    title = "This is no verified address of yours"


class InboundRefused(Forbidden):
    title = "The mail was not taken"


class MailTooLarge(TooLarge):
    title = "The mail is too large"


class SuppressionNotFound(NotFound):
    title = "There is no such suppression"


class NotLiftable(Conflict):
    title = "This cannot be lifted"


class SenderNotFound(NotFound):
    title = "There is no such sender"


class WarmUpNotFound(NotFound):
    title = "The sender does not warm up"


class SenderExists(Conflict):
    title = "The organization has a sender"


class TooManyAtOnce(Invalid):
    title = "These are too many at once"


class LetterGone(Conflict):
    """It was handed over, or has ended otherwise."""

    title = "The letter can no longer be stopped"


class TemplateRefused(Invalid):
    """A template that is not MJML and Liquid, lacks a subject, is too large, or does not come to an end."""

    title = "The template cannot be used"
