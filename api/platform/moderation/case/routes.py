"""HTTP of cases: the queue of those who judge."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from api.platform.moderation.case import logic
from api.platform.moderation.case.logic import CaseFile
from api.platform.moderation.case.store import Case
from api.platform.moderation.contract import (
    CaseDecided,
    CaseId,
    CaseLeased,
    CaseNotFound,
    CaseState,
    ClauseId,
    ExposureUsedUp,
    OwnMatter,
    ReportId,
    ReportState,
    RuleEffect,
    RuleId,
)
from api.platform.moderation.decision.view import DecisionView
from cluster.base.ids import OrgId, UserId
from cluster.http import Caller, Page, Paging, Router, Several, View, once

router = Router("moderation")


class CaseView(View):
    """A case in the queue."""

    id: CaseId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    course_id: UUID | None
    kind: str
    thing_id: UUID
    url: str
    state: CaseState
    source: Annotated[Literal["report", "screening"], Field(validation_alias="source_kind")]
    severity: int
    reach: int
    reports: int
    opened_at: datetime
    leased_by: UserId | None
    leased_until: datetime | None
    decided_at: datetime | None
    sealed: bool
    """It names a crime or danger to life: few see it, and the audit trail says who did."""


class CaseFindingView(View):
    """What a rule found."""

    pointer: str
    effect: RuleEffect
    rule_id: RuleId
    clause_id: ClauseId
    clause: str
    matched: str


class ContentView(View):
    """What a thing said, by field; `findings`: what rules found in it."""

    texts: dict[str, str]
    findings: list[CaseFindingView]
    seen_at: datetime


class StandingView(View):
    """Where an author stands: strikes of a year, and until when they are muted."""

    strikes: int
    muted_until: datetime | None
    banned: bool


class CaseFileView(CaseView):
    """A case with all that one needs to judge it.

    `contents`: what the thing said when it was reported, held or judged; `present`: what it says now, null when it is gone or its
    service does not answer; `edited`: it says something else than when it was first seen.
    """

    user_id: UserId | None
    contents: list[ContentView]
    present: dict[str, str] | None
    edited: bool
    standing: StandingView | None
    decisions: list[DecisionView]


class CaseReportView(View):
    """A report without its author: those who judge need not know."""

    id: ReportId
    clause_id: ClauseId
    text: str
    state: ReportState
    created_at: datetime


def _file(file: CaseFile) -> CaseFileView:
    present = None if file.present is None else file.present.texts
    return CaseFileView(
        **CaseView.of(file.case).model_dump(),
        user_id=file.case.user_id,
        contents=[ContentView.of(each) for each in file.contents],
        present=present,
        edited=present is not None and bool(file.contents) and present != file.contents[0].texts,
        standing=None if file.standing is None else StandingView.of(file.standing),
        decisions=[DecisionView.of(each) for each in file.decisions],
    )


@router.get("/v1/moderation-cases")
async def list_cases(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    kind: Annotated[str | None, Query(max_length=40, description="Of the thing")] = None,
    decided: Annotated[bool, Query(description="Those too that are decided")] = False,
    id: Several[CaseId] = None,
) -> Page[CaseView]:
    """List the cases that the caller may judge, the most urgent first: by severity, reach and age.

    What waits is offered up to the severity that `GET /v1/moderation-cases/-/exposure` names.
    """
    after = paging.after(float, UUID, sort="queue_position", org=organization_id, kind=kind, decided=decided, id=id)
    found = await logic.list_cases(
        caller,
        org_id=organization_id,
        kind=kind,
        ids=id,
        decided=decided,
        after=(after[0], after[1]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, key=_position, render=CaseView.of)


def _position(case: Case) -> tuple[float, UUID]:
    return case.queue_position, case.id


@router.get("/v1/moderation-cases/{case_id}", raises=(CaseNotFound,))
async def get_case(caller: Caller, case_id: CaseId) -> CaseFileView:
    """Return a case with what its thing said and says."""
    return _file(await logic.get_case(caller, case_id))


@router.get("/v1/moderation-cases/{case_id}/reports", raises=(CaseNotFound,))
async def list_case_reports(
    caller: Caller, case_id: CaseId, paging: Paging, id: Several[ReportId] = None
) -> Page[CaseReportView]:
    """List what people reported of the thing, the newest first."""
    after = paging.after(case=case_id, id=id)
    found = await logic.list_reports(
        caller, case_id, ids=None if id is None else [*id], before=after[0] if after else None, limit=paging.rows
    )
    return paging.page(found, render=CaseReportView.of)


@router.post(
    "/v1/moderation-cases/{case_id}/lease", raises=(CaseNotFound, CaseLeased, CaseDecided, OwnMatter, ExposureUsedUp)
)
async def lease_case(caller: Caller, case_id: CaseId, response: Response) -> CaseFileView:
    """Take a case for ten minutes: nobody else can decide it meanwhile. Taking it again prolongs that."""
    return _file(await once(response, logic.lease(caller, case_id), lambda id: logic.get_again(caller, id)))


@router.post("/v1/moderation-cases/{case_id}/release", raises=(CaseNotFound,))
async def release_case(caller: Caller, case_id: CaseId, response: Response) -> CaseFileView:
    """Give a case back to the queue."""
    return _file(await once(response, logic.release(caller, case_id), lambda id: logic.get_again(caller, id)))
