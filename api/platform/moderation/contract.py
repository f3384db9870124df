"""What other services may know of moderation: ids, values, events, jobs, problems and the calls it answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from api.platform.moderation.screening.pieces import in_pieces
from cluster.base.away import is_away
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, FieldError, Forbidden, Invalid, NotFound, Unavailable
from cluster.data import Transaction
from cluster.events import event
from cluster.jobs import enqueue, job
from cluster.people.calls import client

ClauseId = NewType("ClauseId", UUID)
RuleId = NewType("RuleId", UUID)
ReportId = NewType("ReportId", UUID)
CaseId = NewType("CaseId", UUID)
DecisionId = NewType("DecisionId", UUID)
AppealId = NewType("AppealId", UUID)

Verdict = Literal["allow", "hold", "refuse"]
Action = Literal["label", "limit", "remove", "lock", "warn", "mute", "ban"]
"""label to ban in this order: what is done to the thing (the first four) or to its author."""
CaseState = Literal["open", "leased", "reopened", "decided"]
ReportState = Literal["open", "acted", "kept"]
AppealState = Literal["filed", "heard", "upheld", "reversed"]
RuleState = Literal["draft", "active", "paused"]
RuleKind = Literal["words", "patterns", "links"]
RuleEffect = Literal["hold", "refuse"]
_Harm = Literal["illegal", "hate", "harassment", "violence", "sexual", "self_harm", "minors", "privacy"]
Category = Literal[_Harm, "deception", "spam", "intellectual_property", "cheating", "other"]
SealedPart = Literal["file", "reports", "second_review", "decision", "appeal"]
_WAIT_S = 2.0
"""For the answer of `screen`; whoever writes does not wait longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeratedKind:
    """An offer: a kind of thing that people may report and moderators judge. Its service answers `Moderated`."""

    name: str
    title: str
    actions: tuple[Action, ...]
    """What its service does to a thing when `moderation.decided` says so: of label, limit, remove and lock."""
    blind: bool = False
    """A report does not tell whether there is such a thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A thing as a moderator has to see it."""

    id: UUID
    texts: dict[str, str]
    """By JSON pointer of the field, as `screen` takes them."""
    url: str
    """Where the web app shows it, from the root."""
    user_id: UserId | None
    """Who wrote it."""
    org_id: OrgId | None = None
    course_id: UUID | None = None
    language: str | None = None
    """BCP 47."""
    reach: int = 0
    """How many people see it, roughly."""
    seen_with: str | None = None
    """The permission that lets somebody see it at its organization and course; None: everybody who is signed in may report it."""
    run_ids: tuple[UUID, ...] = ()
    """Runs that show it: whoever has `seen_with` in one of them may report it."""


class Moderated(Protocol):
    """A leaf: answered by services that offer a `ModeratedKind`, from their own tables."""

    async def content(self, kind: str, ids: list[UUID]) -> list[Content]:
        """Return up to 100 things as they are now; what is gone is missing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a text is to stand."""

    kind: str
    """Of a `ModeratedKind`."""
    org_id: OrgId | None = None
    language: str | None = None
    """BCP 47, if it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found in a text, and the clause that it belongs to."""

    pointer: str
    effect: RuleEffect
    rule_id: RuleId
    clause_id: ClauseId
    clause: str
    """Its title."""
    matched: str
    """The part of the text, at most 100 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    verdict: Verdict
    findings: list[Finding] = field(default_factory=list["Finding"])
    muted_until: datetime | None = None
    """Until then the author may write nothing there."""

    def check(self) -> None:
        """Return when the text may be stored.

        Raises:
            TextRefused, AuthorMuted
        """
        if self.muted_until is not None:
            raise AuthorMuted(
                "GET /v1/moderation-decisions lists the decisions about you, each with its reasons and how to appeal",
                until=self.muted_until.isoformat(),
            )
        if self.verdict == "refuse":
            raise TextRefused(
                errors=tuple(
                    FieldError(
                        each.pointer,
                        "text-refused",
                        f"take out “{each.matched}”: it is against the clause “{each.clause}”",
                        {"matched": each.matched, "clause_id": str(each.clause_id), "clause": each.clause},
                    )
                    for each in self.findings
                    if each.effect == "refuse"
                )
            )


class ModerationCalls(Protocol):
    async def screen(self, texts: dict[str, str], author: UserId | None, place: Place) -> Screening:
        """Judge texts before they are stored, by JSON pointer of their field. At most two statements.

        Raises:
            TextTooLong
        """
        ...


async def screened(texts: Mapping[str, str | None], author: UserId | None, place: Place) -> bool:
    """Judge texts before they are stored; True: store them, and have them looked at (`look_later`).

    While moderation does not answer, nobody is kept from writing: that is True too.

    Raises:
        TextRefused, AuthorMuted, TextTooLong
    """
    written = {pointer: text for pointer, text in texts.items() if text}
    if not written:
        return False
    doubtful = False
    try:
        async with asyncio.timeout(_WAIT_S):
            for pieces in in_pieces(written):
                screening = await client(ModerationCalls).screen(pieces, author, place)
                screening.check()
                doubtful |= screening.verdict == "hold"
    except TimeoutError:
        return True
    except Exception as error:
        if not is_away(error):
            raise
        return True
    return doubtful


def look_later(tx: Transaction, kind: str, id: UUID) -> None:
    """Have a thing screened after `tx`, and a case opened where a rule finds something."""
    enqueue(tx, ScreenLater(kind=kind, thing_id=id), dedupe=f"{kind}:{id}")


@job("moderation.screen_later", attempts=20, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenLater:
    """Screens a thing as it is then."""

    kind: str
    thing_id: UUID


@event("moderation.case_opened", subject="case_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened:
    """Somebody has to look at a thing, for the first time or again, or others have to since its case is sealed."""

    case_id: CaseId
    org_id: OrgId | None
    kind: str
    thing_id: UUID
    severity: int
    sealed: bool = False
    """Few may see it: somebody named a crime or danger to life."""


@event("moderation.sealed_case_read", subject="case_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCaseRead:
    """Somebody was shown something of a sealed case."""

    case_id: CaseId
    org_id: OrgId | None
    read_by: UserId | None
    part: SealedPart


@event("moderation.decided", subject="case_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A case was decided, or a decision reversed."""

    case_id: CaseId
    decision_id: DecisionId
    org_id: OrgId | None
    kind: str
    thing_id: UUID
    user_id: UserId | None
    """Who wrote it."""
    actions: tuple[Action, ...]
    """What was decided; empty: nothing is wrong."""
    in_force: tuple[Action, ...]
    """What holds for the thing from now on. Its service makes it so, whatever held before."""
    until_at: datetime | None = None
    """When a mute or a ban ends."""
    reverses_id: DecisionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealEvent:
    appeal_id: AppealId
    decision_id: DecisionId
    org_id: OrgId | None
    filed_by: UserId | None


@event("moderation.appeal_filed", subject="appeal_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AppealFiled(AppealEvent):
    """The author of a thing wants a decision looked at again."""

    sealed: bool = False
    """Of a sealed case: few may see it."""


@event("moderation.appeal_asked", subject="appeal_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AppealAsked(AppealEvent):
    """A question or an answer stands in an appeal."""

    sent_by: UserId | None
    heard_by: UserId | None


@event("moderation.appeal_answered", subject="appeal_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AppealAnswered(AppealEvent):
    """Somebody else than the first judge has upheld or reversed a decision."""

    state: AppealState


class TextRefused(Invalid):
    """Each of `errors` names a field, what was found in it and the clause."""

    title = "This may not be published here"


class TextTooLong(Invalid):
    title = "The text is too long to be screened"


class AuthorMuted(Forbidden):
    """Carries `until`."""

    title = "You may not publish anything here for now"


class ClauseNotFound(NotFound):
    title = "There is no such clause"


class ClauseUnknown(Invalid):
    title = "There is no such clause here"


class CodeTaken(Conflict):
    title = "Another clause has this code"


class RuleNotFound(NotFound):
    title = "There is no such rule"


class EntryRefused(Invalid):
    title = "An entry of the rule cannot be used"


class TooManyRules(Conflict):
    title = "There are too many rules"


class ReportNotFound(NotFound):
    title = "There is no such report"


class ThingUnknown(Invalid):
    title = "There is no such thing"


class AlreadyReported(Conflict):
    """Carries `report_id`."""

    title = "You have reported this already"


class TooManyReports(Conflict):
    title = "Too many of your reports wait for an answer"


class CaseNotFound(NotFound):
    title = "There is no such case"


class CaseLeased(Conflict):
    """Carries `leased_until`."""

    title = "Somebody else is looking at this case"


class CaseDecided(Conflict):
    title = "The case is decided"


class LeaseNeeded(Conflict):
    title = "Take the case first"


class OwnMatter(Forbidden):
    """The caller wrote or reported what they are to judge."""

    title = "Nobody judges their own matter"


class ExposureUsedUp(Conflict):
    """Carries `until`."""

    title = "You were shown enough today"


class ActionUnknown(Invalid):
    title = "This cannot be done to such a thing"


class DecisionNotFound(NotFound):
    title = "There is no such decision"


class NothingToReview(NotFound):
    title = "No decision waits for a second review"


class ReviewDone(Conflict):
    title = "The decision needs no second review"


class AppealNotFound(NotFound):
    title = "There is no such appeal"


class AppealExists(Conflict):
    """Carries `appeal_id`."""

    title = "There is an appeal against this decision"


class AppealOver(Conflict):
    title = "The appeal is answered"


class NotAppealable(Conflict):
    title = "There is nothing to appeal against"


class AppealTooLate(Conflict):
    title = "The time to appeal is over"


class FirstJudge(Forbidden):
    title = "Somebody else than the first judge hears an appeal"


class AppealTaken(Conflict):
    title = "Somebody else hears this appeal"


class HearingNeeded(Conflict):
    title = "Take the appeal first"


class ContentUnavailable(Unavailable):
    title = "The service of this thing does not answer"
