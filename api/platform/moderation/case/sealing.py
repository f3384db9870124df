"""Sealed cases: those that name a crime or danger to life. Few may see them, and each reading is in the audit trail."""

from uuid import UUID

from api.platform.moderation.case import store
from api.platform.moderation.case.store import Case
from api.platform.moderation.contract import CaseId, CaseNotFound, SealedCaseRead, SealedPart
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import NotFound
from cluster.data import Transaction, write
from cluster.events import emit
from cluster.people.access import Guarded, Reach, permit, permitted, reach_of

READ_SEALED = "moderation-case:read-sealed"


async def find_permitted(caller: Principal, permission: str, case_id: CaseId) -> Case:
    """Return a case if the caller may do this to it, and see it when it is sealed: who wrote its thing never does.

    Raises:
        CaseNotFound
    """
    case = await permitted(caller, permission, store.find_case, case_id, missing=CaseNotFound)
    if case.sealed and case.user_id is not None and case.user_id == caller.id:
        raise CaseNotFound
    await permit_sealed(caller, sealed=case.sealed, org_id=case.org_id, missing=CaseNotFound)
    return case


async def permit_sealed(
    caller: Principal,
    *,
    sealed: bool,
    org_id: OrgId | None,
    missing: type[NotFound],
    author: UserId | None = None,
) -> None:
    """Return when the caller may see what belongs to a case; whoever wrote its thing (`author`) may see what was decided.

    Raises:
        `missing`: it is sealed, and the caller is not told that there is such a thing.
    """
    if sealed and (author is None or caller.id != author):
        await permit(caller, READ_SEALED, Guarded(True, org_id=org_id, see=READ_SEALED), missing=missing)


async def sealed_reach(caller: Principal) -> Reach:
    """Return where the caller sees what is sealed."""
    return await reach_of(caller, READ_SEALED)


def in_sealed_reach(reach: Reach) -> dict[str, object]:
    """Return the parameters of statements that list what may be sealed."""
    return {"sealed_everywhere": reach.everywhere, "sealed_org_ids": reach.org_ids}


async def note_read(
    caller: Principal, case_id: CaseId, org_id: OrgId | None, version: int, *, sealed: bool, part: SealedPart
) -> None:
    """Tell the audit trail that somebody read of a sealed case, before they are shown it."""
    if sealed:
        async with write(caller) as tx:
            tell_read(tx, caller, case_id, org_id, version, part)


def tell_read(
    tx: Transaction, caller: Principal, case_id: CaseId, org_id: OrgId | None, version: int, part: SealedPart
) -> None:
    event = SealedCaseRead(case_id=case_id, org_id=org_id, read_by=_person(caller.id), part=part)
    emit(tx, event, version=version)


def _person(id: UUID | None) -> UserId | None:
    return None if id is None else UserId(id)
