"""Use cases of cases: open, list, read, take and give back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec

from api.platform.moderation.case import store
from api.platform.moderation.case.content import digest, find_content
from api.platform.moderation.case.sealing import (
    READ_SEALED,
    find_permitted,
    in_sealed_reach,
    note_read,
    sealed_reach,
    tell_read,
)
from api.platform.moderation.case.store import Case, SeenContent, Source
from api.platform.moderation.clause import store as clauses
from api.platform.moderation.contract import (
    CaseDecided,
    CaseId,
    CaseLeased,
    CaseNotFound,
    CaseOpened,
    Content,
    Finding,
    OwnMatter,
    Place,
)
from api.platform.moderation.decision import store as decisions
from api.platform.moderation.decision.store import Decision
from api.platform.moderation.exposure.logic import budget_of, exposure_of, spend
from api.platform.moderation.report import store as reports
from api.platform.moderation.report.store import Report
from api.platform.moderation.rules import LEASE, SEALED_CATEGORIES
from api.platform.moderation.screening import logic as screening
from api.platform.moderation.screening.pieces import in_pieces
from api.platform.moderation.screening.store import Standing
from cluster.base.away import is_away
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import lacking, reach_of, within
from cluster.people.erasure import erased

_ALL = 5
"""The highest severity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """All that somebody needs who judges a case."""

    case: Case
    contents: list[SeenContent]
    """What the thing said when it was reported, held or judged, the oldest first."""
    present: Content | None
    """What it says now; None: it is gone, or its service does not answer."""
    standing: Standing | None
    decisions: list[Decision]


async def open_case(
    tx: Transaction,
    kind: str,
    content: Content,
    *,
    source: Source,
    severity: int,
    sealed: bool = False,
    reports: int = 0,
    weight: float = 0.0,
    findings: Sequence[Mapping[str, Any]] = (),
) -> CaseId | None:
    """Open a case of a thing, or add to the one that there is; None: it was judged already as it is."""
    sha256 = digest(content.texts)
    if content.user_id is not None and await erased(tx, {content.user_id}):
        content = replace(content, user_id=None)
    opened = await store.upsert_case(
        tx,
        CaseId(new_id()),
        kind,
        content,
        source=source,
        severity=severity,
        reports=reports,
        weight=weight,
        sealed=sealed,
        sha256=sha256,
    )
    if opened is None:
        return None
    await store.insert_content(tx, opened.id, content, sha256, findings)
    if opened.is_opened:
        event = CaseOpened(
            case_id=opened.id,
            org_id=content.org_id,
            kind=kind,
            thing_id=content.id,
            severity=opened.severity,
            sealed=opened.sealed,
        )
        emit(tx, event, version=opened.version)
    return opened.id


async def look_at(caller: Principal, kind: str, id: UUID) -> None:
    """Screen a thing as it is now, and open a case where a rule finds something. Safe to repeat."""
    content = await find_content(kind, id)
    if content is None or not content.texts:
        return
    place = Place(kind=kind, org_id=content.org_id, language=content.language)
    found: list[Finding] = []
    for pieces in in_pieces(content.texts):
        found += (await screening.screen(pieces, content.user_id, place)).findings
    if not found:
        return
    async with write(caller) as tx:
        gravity = await clauses.find_gravity(tx, [each.clause_id for each in found], SEALED_CATEGORIES)
        findings = [msgspec.to_builtins(each) for each in found]
        await open_case(
            tx,
            kind,
            content,
            source="screening",
            severity=gravity.severity,
            sealed=gravity.among,
            findings=findings,
        )


async def list_cases(
    caller: Principal,
    *,
    org_id: OrgId | None,
    kind: str | None,
    ids: list[CaseId] | None,
    decided: bool,
    after: tuple[float, UUID] | None,
    limit: int,
) -> list[Case]:
    """List the cases that the caller may see, the most urgent first; what waits is offered as far as their exposure goes."""
    reach = await reach_of(caller, "moderation-case:read")
    sealed = in_sealed_reach(await sealed_reach(caller))
    reviewer = None if caller.id is None else caller.person()
    severest = _ALL if reviewer is None else (await exposure_of(reviewer, org_id)).severest
    async with read() as db:
        return await store.list_cases(
            db,
            reach,
            sealed,
            org_id=org_id,
            kind=kind,
            ids=ids,
            decided=decided,
            reviewer=reviewer,
            severest=severest,
            after=after,
            limit=limit,
        )


async def get_case(caller: Principal, case_id: CaseId) -> CaseFile:
    """Return a case with what its thing said and says, and where its author stands."""
    case = await find_permitted(caller, "moderation-case:read", case_id)
    await note_read(caller, case_id, case.org_id, case.version, sealed=case.sealed, part="file")
    return await _file(case)


async def get_again(caller: Principal, case_id: CaseId) -> CaseFile:
    """Return what the same request returned before: its reading is in the audit trail."""
    return await _file(await find_permitted(caller, "moderation-case:read", case_id))


async def _file(case: Case) -> CaseFile:
    case_id = case.id
    present: Content | None = None
    try:
        present = await find_content(case.kind, case.thing_id)
    except Exception as error:
        # What was reported is here: it can be judged while the service of the thing is away.
        if not is_away(error):
            raise
    standing = None if case.user_id is None else await screening.standing_of(case.user_id, case.org_id)
    async with read() as db:
        contents = await store.list_contents(db, case_id)
        made = await decisions.list_of_case(db, case_id)
    return CaseFile(case=case, contents=contents, present=present, standing=standing, decisions=made)


async def list_reports(
    caller: Principal, case_id: CaseId, *, ids: list[UUID] | None, before: UUID | None, limit: int
) -> list[Report]:
    """List the reports of a case, the newest first, for those who judge it."""
    case = await find_permitted(caller, "moderation-case:read", case_id)
    await note_read(caller, case_id, case.org_id, case.version, sealed=case.sealed, part="reports")
    async with read() as db:
        return await reports.list_of_case(db, case_id, ids=ids, before=before, limit=limit)


async def lease(caller: Principal, case_id: CaseId) -> CaseFile:
    """Take a case for ten minutes; taking it again makes that ten minutes from now.

    Raises:
        CaseNotFound, CaseLeased, CaseDecided, OwnMatter, ExposureUsedUp
    """
    case = await find_permitted(caller, "moderation-case:judge", case_id)
    user_id = caller.person()
    budget = await budget_of(case.org_id)
    # It may become sealed before it is taken: whether the caller may see it then is asked now, without a connection.
    blind = await lacking(caller, [READ_SEALED], within(org_id=case.org_id))
    async with write(caller, result=case_id) as tx:
        if await store.find_is_party(tx, case_id, user_id):
            raise OwnMatter("somebody else judges what you wrote or reported")
        leased = await store.update_leased(tx, case_id, user_id, tx.now + LEASE)
        if leased is None:
            present = await store.lock_case(tx, case_id)
            if present is None:
                raise CaseNotFound
            if present.state == "decided" or present.leased_until is None:
                raise CaseDecided("what its author says against the decision comes as an appeal: GET /v1/appeals")
            raise CaseLeased("take another case, or wait", leased_until=present.leased_until.isoformat())
        await spend(tx, user_id, case_id, "case", leased.org_id, severity=leased.severity, budget=budget)
        if leased.sealed:
            if blind or leased.user_id == user_id:
                raise CaseNotFound
            tell_read(tx, caller, case_id, leased.org_id, leased.version, "file")
    return await _file(leased)


async def release(caller: Principal, case_id: CaseId) -> CaseFile:
    """Give a case back. Giving back what one has not changes nothing."""
    case = await find_permitted(caller, "moderation-case:judge", case_id)
    async with write(caller, result=case_id) as tx:
        released = await store.update_released(tx, case_id, caller.person()) or case
        if released.sealed:
            tell_read(tx, caller, case_id, released.org_id, released.version, "file")
    return await _file(released)
