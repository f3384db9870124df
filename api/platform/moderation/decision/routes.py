"""HTTP of decisions, their reasons, and what is published about them."""

import csv
import io
from datetime import date
from functools import partial
from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator, AwareDatetime, Field

from api.core.rbac.contract import BeyondOwnRights
from api.platform.moderation.case.routes import StandingView
from api.platform.moderation.contract import (
    Action,
    ActionUnknown,
    CaseDecided,
    CaseId,
    CaseNotFound,
    ClauseId,
    ClauseUnknown,
    DecisionId,
    DecisionNotFound,
    LeaseNeeded,
    OwnMatter,
)
from api.platform.moderation.decision import logic, transparency
from api.platform.moderation.decision.logic import Statement
from api.platform.moderation.decision.view import DecisionView, StatementView
from api.platform.moderation.review.routes import AgreementView
from api.platform.moderation.screening import logic as screening
from cluster.base.ids import OrgId
from cluster.http import Body, Caller, Page, Paging, Router, Several, View, once

router = Router("moderation")
_REDRESS = (
    "Whoever wrote this may appeal here within six months, free of charge; somebody else than the first judge hears it. "
    "Certified out-of-court dispute settlement bodies and courts stay open (DSA, articles 20 and 21)."
)
Since = Annotated[date, Query(description="The first day, in UTC")]
Until = Annotated[date, Query(description="The last day, in UTC")]


def _each_once(values: list[Action]) -> list[Action]:
    return list(dict.fromkeys(values))


class NewDecision(Body):
    """A judgement of a case that the caller has taken. Without actions nothing is wrong with the thing."""

    case_id: CaseId
    actions: Annotated[list[Action], Field(max_length=7, examples=[["remove"]]), AfterValidator(_each_once)]
    clause_id: ClauseId
    facts: Annotated[
        str, Field(min_length=1, max_length=5000, examples=["The summary insults the teacher of another course."])
    ]
    until_at: Annotated[AwareDatetime | None, Field(description="When a mute or a ban ends")] = None


class ReportCountView(View):
    category: str
    notices: int
    acted: int
    median_s: float | None


class DecisionCountView(View):
    category: str
    source: str
    decisions: int
    acted: int
    removals: int
    suspensions: int


class AppealCountView(View):
    filed: int
    upheld: int
    reversed: int
    median_s: float | None


class CountsView(View):
    """Numbers for a transparency report (DSA, article 15); times are from a report or an appeal to its answer.

    `agreement`: Krippendorff's alpha of first and blind second judgements, by clause.
    """

    reports: list[ReportCountView]
    decisions: list[DecisionCountView]
    appeals: AppealCountView
    agreement: list[AgreementView]


class PublishedView(View):
    """A decision as the DSA Transparency Database takes it."""

    id: DecisionId
    puid: str
    decision_visibility: list[str]
    decision_account: str | None
    decision_ground: str
    legal_ground: str | None
    incompatible_content_ground: str | None
    explanation: str
    explanation_field: str
    category: str
    content_type: list[str]
    application_date: date
    end_date_account_restriction: date | None
    source_type: str
    automated_detection: str
    automated_decision: str
    territorial_scope: list[str]


def _statement(statement: Statement) -> StatementView:
    clause = statement.clause
    return StatementView(
        **DecisionView.of(statement.decision).model_dump(),
        clause_code=clause.code,
        clause_title=clause.title(),
        clause_text=clause.texts.get("en", next(iter(clause.texts.values())))["text"],
        illegal=clause.category == "illegal",
        automated_detection=statement.decision.source_kind == "screening",
        url=statement.url,
        appeal_until=statement.appeal_until,
        redress=_REDRESS,
    )


async def _again(caller: Caller, decision_id: DecisionId) -> logic.Decision:
    return (await logic.get_decision(caller, decision_id)).decision


@router.post(
    "/v1/moderation-decisions",
    status_code=201,
    raises=(CaseNotFound, CaseDecided, LeaseNeeded, OwnMatter, ClauseUnknown, ActionUnknown, BeyondOwnRights),
)
async def decide(caller: Caller, new: NewDecision, response: Response) -> DecisionView:
    """Judge a case by a clause and the facts. Its author gets both, and may appeal; those who reported are told."""
    work = logic.decide(
        caller,
        new.case_id,
        actions=new.actions,
        clause_id=new.clause_id,
        facts=new.facts,
        until_at=new.until_at,
    )
    decision = await once(response, work, partial(_again, caller))
    response.headers["Location"] = f"/v1/moderation-decisions/{decision.id}"
    return DecisionView.of(decision)


@router.get("/v1/moderation-decisions")
async def list_decisions(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    case_id: CaseId | None = None,
    id: Several[DecisionId] = None,
) -> Page[DecisionView]:
    """List the decisions about what the caller wrote, and those of places where the caller judges; newest first."""
    after = paging.after(org=organization_id, case=case_id, id=id)
    found = await logic.list_decisions(
        caller,
        org_id=organization_id,
        case_id=case_id,
        ids=id,
        before=DecisionId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=DecisionView.of)


@router.get("/v1/moderation-decisions/{decision_id}", raises=(DecisionNotFound,))
async def get_decision(caller: Caller, decision_id: DecisionId) -> StatementView:
    """Return a decision with its statement of reasons."""
    return _statement(await logic.get_decision(caller, decision_id))


@router.get("/v1/moderation-decisions/-/standing")
async def get_standing(caller: Caller, organization_id: OrgId | None = None) -> StandingView:
    """Return where the caller stands, on the platform and in an organization. A reversed decision does not count."""
    return StandingView.of(await screening.own_standing(caller, organization_id))


@router.get("/v1/moderation-decisions/-/transparency")
async def count_decisions(
    caller: Caller, since_on: Since, until_on: Until, organization_id: OrgId | None = None
) -> CountsView:
    """Count reports, decisions and appeals from a day to a day: of an organization, or of the whole platform."""
    return CountsView.of(await transparency.count(caller, organization_id, since_on, until_on))


@router.get("/v1/moderation-decisions/-/statements")
async def list_statements(
    caller: Caller,
    paging: Paging,
    since_on: Since,
    until_on: Until,
    organization_id: OrgId | None = None,
    id: Several[DecisionId] = None,
) -> Page[PublishedView]:
    """List the decisions that restricted something, in the words of the DSA Transparency Database."""
    after = paging.after(org=organization_id, since=since_on, until=until_on, id=id)
    found = await transparency.list_statements(
        caller,
        organization_id,
        since_on,
        until_on,
        ids=id,
        before=DecisionId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, key=lambda row: row[0].id, render=lambda row: PublishedView(**_published(*row)))


_published = transparency.statement_of
_MAX_CSV_ROWS = 10_000


@router.get("/v1/moderation-decisions/-/csv", response_class=Response)
async def export_statements(
    caller: Caller, since_on: Since, until_on: Until, organization_id: OrgId | None = None
) -> Response:
    """Return the newest 10,000 decisions of a time that restricted something, as a CSV file in UTF-8."""
    found = await transparency.list_statements(
        caller, organization_id, since_on, until_on, ids=None, before=None, limit=_MAX_CSV_ROWS
    )
    table = io.StringIO()
    writer = csv.DictWriter(table, [name for name in PublishedView.model_fields if name != "id"])
    writer.writeheader()
    for row in found:
        fields = _published(*row)
        del fields["id"]
        writer.writerow({name: _cell(value) for name, value in fields.items()})
    return Response(table.getvalue(), media_type="text/csv; charset=utf-8")


def _cell(value: object) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    text = ";".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
