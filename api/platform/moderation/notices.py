"""What people are told of moderation: authors, those who reported, and those who judge."""

from typing import Any
from uuid import UUID

from api.platform.moderation.appeal import store as appeals
from api.platform.moderation.case import store as cases
from api.platform.moderation.clause import store as clauses
from api.platform.moderation.contract import (
    AppealAnswered,
    AppealAsked,
    AppealFiled,
    AppealId,
    CaseId,
    CaseOpened,
    Decided,
    DecisionId,
)
from api.platform.moderation.decision import store as decisions
from api.platform.moderation.report import store as reports
from cluster.base.ids import OrgId, UserId
from cluster.data import read
from cluster.people.notices import Notice, NoticeText, Reader, only
from cluster.people.wording import say, worded

_SERVICE = "moderation"
_DECIDED = "moderation.decided"

NOTICES = (
    Notice(
        name="moderation.decided",
        title="Something was decided about what you wrote",
        event=Decided,
        category="account",
        severity="high",
    ),
    Notice(
        name="moderation.report_answered",
        title="A report of yours is answered",
        event=Decided,
        category="community",
    ),
    Notice(
        name="moderation.appeal_answered",
        title="An appeal of yours is answered",
        event=AppealAnswered,
        category="account",
        severity="high",
    ),
    Notice(
        name="moderation.appeal_asked",
        title="Somebody wrote in an appeal of yours",
        event=AppealAsked,
        category="account",
        topic="appeal_id",
    ),
    Notice(
        name="moderation.appeal_filed",
        title="An appeal waits for a judge",
        event=AppealFiled,
        category="community",
        severity="low",
        topic="org_id",
    ),
    Notice(
        name="moderation.case_opened",
        title="A case waits for a moderator",
        event=CaseOpened,
        category="community",
        severity="low",
        topic="org_id",
    ),
)


async def recipients(notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:
    """Return who is told: those who are concerned, and of cases and appeals others who judged there within 90 days."""
    match notice:
        case "moderation.decided":
            concerned = event["actions"] or event["reverses_id"]
            return only(event["user_id"] if concerned else None, after)
        case "moderation.report_answered":
            async with read() as db:
                return await reports.list_answered(db, UUID(event["decision_id"]), after=after, limit=limit)
        case "moderation.appeal_answered":
            return only(event["filed_by"], after)
        case "moderation.appeal_asked":
            other = event["heard_by"] if event["sent_by"] == event["filed_by"] else event["filed_by"]
            return only(other, after)
        case _:
            org_id = None if event["org_id"] is None else OrgId(UUID(event["org_id"]))
            async with read() as db:
                if notice == "moderation.case_opened":
                    author = await cases.find_author(db, CaseId(UUID(event["case_id"])))
                else:
                    author = None if event["filed_by"] is None else UserId(UUID(event["filed_by"]))
                return await decisions.list_judges(
                    db, org_id, sealed=event.get("sealed", False), author=author, after=after, limit=limit
                )


async def texts(notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
    """Return the words; the reasons in full stand at the decision."""
    org_id = None if event["org_id"] is None else OrgId(UUID(event["org_id"]))
    match notice:
        case "moderation.case_opened":
            return worded(_SERVICE, notice, readers, url=f"/moderation/cases/{event['case_id']}", org_id=org_id)
        case "moderation.appeal_filed" | "moderation.appeal_asked":
            return worded(_SERVICE, notice, readers, url=f"/moderation/appeals/{event['appeal_id']}", org_id=org_id)
        case "moderation.appeal_answered":
            return await _answered(AppealId(UUID(event["appeal_id"])), readers, org_id)
        case "moderation.report_answered":
            key = "moderation.report_acted" if event["actions"] else notice
            return worded(_SERVICE, key, readers, url="/moderation/reports", org_id=org_id)
        case _:
            return await _decided(event, readers, org_id)


async def _answered(appeal_id: AppealId, readers: list[Reader], org_id: OrgId | None) -> list[NoticeText]:
    async with read() as db:
        answer = await appeals.find_answer(db, appeal_id)
    if answer is None:
        return []
    key = "moderation.appeal_granted" if answer.state == "reversed" else "moderation.appeal_answered"
    url = f"/moderation/appeals/{appeal_id}"
    return worded(_SERVICE, key, readers, url=url, org_id=org_id, answer=answer.answer[:2000])


async def _decided(event: dict[str, Any], readers: list[Reader], org_id: OrgId | None) -> list[NoticeText]:
    decision_id = DecisionId(UUID(event["decision_id"]))
    async with read() as db:
        decision = await decisions.find_decision(db, decision_id)
        if decision is None:
            return []
        clause = await clauses.find_clause_at(db, decision.clause_id, decision.clause_version)
    url = f"/moderation/decisions/{decision_id}"
    if decision.reverses_id is not None:
        return worded(_SERVICE, "moderation.reversed", readers, url=url, org_id=org_id, facts=decision.facts[:2000])
    told: list[NoticeText] = []
    for reader in readers:
        cited = "" if clause is None else say(_SERVICE, _DECIDED, "clause", reader, title=clause.title(reader.locale))
        told += worded(
            _SERVICE,
            _DECIDED,
            [reader],
            url=url,
            org_id=org_id,
            actions=" ".join(say(_SERVICE, "action", each, reader) for each in decision.actions),
            clause=cited,
            facts=decision.facts[:1500],
        )
    return told
