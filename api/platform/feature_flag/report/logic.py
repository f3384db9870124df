"""Who answers for a flag, and that they are told when somebody kills it."""

from datetime import timedelta
from uuid import UUID, uuid5

from api.platform.feature_flag.contract import FlagEntry, FlagId, FlagKillReported, FlagNotFound, OwnerUnknown
from api.platform.feature_flag.flag import store as flags
from api.platform.feature_flag.report import store
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import MemberSource, lacking, permit, within
from cluster.people.calls import client
from cluster.people.notices import AudienceSource

MOST_TOLD = 200
KEPT_FOR = timedelta(days=90)
_NAMESPACE = UUID("0f3c2a8e-5d0b-5f1c-9a44-7f1f6e1b2c90")
_PAGE = 500
_MOST_ASKED = 2_000
"""People with a role in an organization of whom it is asked whether they administrate flags."""


async def check_owner(org_id: OrgId | None, owner_id: UserId) -> None:
    """Return when somebody can answer for a flag: a member of its organization, or who may see the platform's flags.

    Raises:
        OwnerUnknown: they cannot, or there is no such person.
    """
    if not await _may_answer(org_id, owner_id):
        whom = "somebody who may see the platform's flags" if org_id is None else "an active member of the organization"
        raise OwnerUnknown(f"name {whom}", pointer="/owner_id")


async def report_kill(caller: Principal, flag_id: FlagId, version: int, killed_by: UserId | None) -> None:
    """Note who is to be told that a flag was killed: its owner, or else whoever administrates flags there. May be repeated.

    Whoever killed it knows.
    """
    async with read() as db:
        found = await flags.find_flag(db, flag_id)
        staff = await store.list_platform_staff(db)
    flag = await permit(caller, "flag:read", found, missing=FlagNotFound)
    report_id = uuid5(_NAMESPACE, f"{flag_id} {version}")
    told = await _responsible(flag, staff)
    async with write(caller) as tx:
        people = [each for each in told if each != killed_by]
        if await store.insert_reports(tx, report_id, flag, version, people):
            emit(tx, FlagKillReported(flag_id=flag.id, org_id=flag.org_id, report_id=report_id), version=1)


async def purge(platform: Principal, limit: int) -> int:
    """Forget who was told of kills long ago; return how many rows went."""
    async with write(platform) as tx:
        return await store.delete_reports(tx, tx.now - KEPT_FOR, limit)


async def _responsible(flag: FlagEntry, platform_staff: list[UserId]) -> list[UserId]:
    if flag.owner_id is not None and await _may_answer(flag.org_id, flag.owner_id):
        return [flag.owner_id]
    found: list[UserId] = []
    if flag.org_id is None:
        for each in platform_staff:
            if len(found) < MOST_TOLD and await _administrates(None, each):
                found.append(each)
        return found
    asked, after = 0, None
    while asked < _MOST_ASKED and len(found) < MOST_TOLD:
        page = await client(AudienceSource, of="rbac").audience("staff", "organization", flag.org_id, after, _PAGE)
        for each in page:
            if len(found) < MOST_TOLD and await _administrates(flag.org_id, each):
                found.append(each)
        if len(page) < _PAGE:
            break
        asked, after = asked + len(page), page[-1]
    return found


async def _may_answer(org_id: OrgId | None, user_id: UserId) -> bool:
    if org_id is None:
        return not await lacking(_somebody(user_id), ["flag:read"], within())
    return org_id in await client(MemberSource).organizations_of(user_id)


async def _administrates(org_id: OrgId | None, user_id: UserId) -> bool:
    return not await lacking(_somebody(user_id), ["flag:edit"], within(org_id=org_id))


def _somebody(user_id: UUID) -> Principal:
    return Principal(kind="person", id=UserId(user_id))
