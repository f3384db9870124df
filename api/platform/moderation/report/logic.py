"""Use cases of reports: say what is wrong with a thing, and see what became of it."""

from uuid import UUID

from api.platform.moderation.case import logic as cases
from api.platform.moderation.case import store as case_store
from api.platform.moderation.case.content import find_content, kinds
from api.platform.moderation.clause.logic import get_citable
from api.platform.moderation.contract import (
    AlreadyReported,
    CaseId,
    ClauseId,
    Content,
    ReportId,
    ReportNotFound,
    ReportState,
    ThingUnknown,
    TooManyReports,
)
from api.platform.moderation.report import store
from api.platform.moderation.report.store import Report
from api.platform.moderation.rules import MAX_OPEN_REPORTS, SEALED_CATEGORIES, weight_of
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.people.access import Guarded, Reach, named, permit, permitted, reach_of


async def create_report(caller: Principal, kind: str, thing_id: UUID, clause_id: ClauseId, text: str) -> Report:
    """Report a thing. All reports of a thing are one case; what was judged as it is now is answered at once.

    Raises:
        ThingUnknown, ClauseUnknown, AlreadyReported, TooManyReports
    """
    user_id = caller.person()
    await permit(caller, "moderation-report:create", Guarded(user_id, owner_id=user_id))
    content = await _find_seen(caller, kind, thing_id)
    clause = await get_citable(clause_id, None if content is None else content.org_id)
    report_id = ReportId(new_id())
    async with write(caller, result=report_id, status=201) as tx:
        await tx.take_turns("moderation.reports", user_id)
        record = await store.count_of_person(tx, user_id)
        present = await store.find_open(tx, user_id, kind, thing_id)
        if present is not None:
            raise AlreadyReported("you are told when it is answered", report_id=str(present))
        if record.open >= MAX_OPEN_REPORTS:
            raise TooManyReports("wait until some of them are answered")
        weight = weight_of(record.acted, record.kept)
        case_id: CaseId | None = None
        state: ReportState = "open"
        if content is not None:
            case_id = await cases.open_case(
                tx,
                kind,
                content,
                source="report",
                severity=clause.severity,
                sealed=clause.category in SEALED_CATEGORIES,
                reports=1,
                weight=weight,
            )
            if case_id is None:
                state = "kept"
                case_id = await case_store.find_case_of_thing(tx, kind, thing_id)
        return await store.insert_report(
            tx,
            Report(
                id=report_id,
                org_id=None if content is None else content.org_id,
                case_id=case_id,
                kind=kind,
                thing_id=thing_id,
                clause_id=clause_id,
                reported_by=user_id,
                text=text,
                weight=weight,
                state=state,
                created_at=tx.now,
                answered_at=tx.now if state == "kept" else None,
            ),
        )


async def _find_seen(caller: Principal, kind: str, thing_id: UUID) -> Content | None:
    """Return what the caller reports; None: nothing, and they are not told."""
    if kind not in kinds():
        raise ThingUnknown(f"choose one of {', '.join(sorted(kinds()))}", pointer="/kind")
    content = await find_content(kind, thing_id)
    if content is None and kinds()[kind][1].blind:
        return None
    unknown = ThingUnknown("name a thing that you can see", pointer="/thing_id")
    if content is None:
        raise unknown
    if content.seen_with is not None:
        reach = await reach_of(caller, content.seen_with) if content.run_ids else Reach()
        run_id = next((each for each in content.run_ids if each in reach.run_ids), None)
        place = Guarded(
            content, org_id=content.org_id, course_id=content.course_id, run_id=run_id, see=content.seen_with
        )
        await named(caller, place, unknown=unknown)
    return content


async def get_report(caller: Principal, report_id: ReportId) -> Report:
    return await permitted(caller, "moderation-report:read", store.find_report, report_id, missing=ReportNotFound)


async def list_reports(
    caller: Principal, *, ids: list[ReportId] | None, before: ReportId | None, limit: int
) -> list[Report]:
    """List what the caller reported, newest first."""
    user_id = (await reach_of(caller, "moderation-report:read")).own
    if user_id is None:
        return []
    async with read() as db:
        return await store.list_reports(db, user_id, ids=ids, before=before, limit=limit)
