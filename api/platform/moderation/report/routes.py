"""HTTP of reports."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from api.platform.moderation.contract import (
    AlreadyReported,
    ClauseId,
    ClauseUnknown,
    ReportId,
    ReportNotFound,
    ReportState,
    ThingUnknown,
    TooManyReports,
)
from api.platform.moderation.report import logic
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("moderation")


class NewReport(Body):
    """What is wrong with a thing."""

    kind: Annotated[str, Field(max_length=40, examples=["course"])]
    thing_id: UUID
    clause_id: ClauseId
    text: Annotated[str, Field(max_length=5000, examples=["The second paragraph insults our class."])] = ""


class ReportView(View):
    """A report and what became of it: `acted` when something was done about the thing, `kept` when not."""

    id: ReportId
    kind: str
    thing_id: UUID
    clause_id: ClauseId
    text: str
    state: ReportState
    created_at: datetime
    answered_at: datetime | None


REPORT = Answer(get=logic.get_report, view=ReportView, path="/v1/moderation-reports/{id}")


@router.post(
    "/v1/moderation-reports", status_code=201, raises=(ThingUnknown, ClauseUnknown, AlreadyReported, TooManyReports)
)
async def create_report(caller: Caller, new: NewReport, response: Response) -> ReportView:
    """Report a thing by the clause that it is against. Whoever reports is told what was decided."""
    made = logic.create_report(caller, new.kind, new.thing_id, new.clause_id, new.text)
    return await REPORT.created(response, caller, made)


@router.get("/v1/moderation-reports")
async def list_reports(caller: Caller, paging: Paging, id: Several[ReportId] = None) -> Page[ReportView]:
    """List the caller's reports, newest first."""
    after = paging.after(id=id)
    found = await logic.list_reports(caller, ids=id, before=ReportId(after[0]) if after else None, limit=paging.rows)
    return paging.page(found, render=ReportView.of)


@router.get("/v1/moderation-reports/{report_id}", raises=(ReportNotFound,))
async def get_report(caller: Caller, report_id: ReportId, response: Response) -> ReportView:
    """Return one of the caller's reports."""
    return REPORT.show(response, await logic.get_report(caller, report_id))
