"""Use cases of usage: add what processes counted, show it, and delete what is old."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.core.gateway.contract import UsageNotFound
from api.core.gateway.usage import store
from api.core.gateway.usage.store import HourOfUsage
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Invalid
from cluster.data import read, write
from cluster.people import calls
from cluster.people.access import Guarded, permit, within
from cluster.people.erasure import erased
from cluster.people.usage import EVERYBODY, UsageOf, Used

READ = "usage:read"
KEPT = timedelta(days=90)
KEPT_OF_PEOPLE = timedelta(days=30)
"""They are many, and each has rows of their own."""
_LOTS_KEPT = timedelta(days=1)
"""Longer than a process goes on trying to hand one over."""
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


async def add_usage(lot_id: UUID, used: list[Used]) -> None:
    """Answer `UsageKeeper`. What people asked who are erased by now counts for others alone."""
    async with write(calls.caller("gateway")) as tx:
        gone = await erased(tx, {each.subject_id for each in used if each.of == "person"})
        await store.upsert_usage(tx, lot_id, [each for each in used if each.subject_id not in gone])


async def list_usage(
    caller: Principal,
    *,
    org_id: OrgId | None,
    caller_id: UUID | None,
    everybody: bool,
    since: datetime | None,
    until: datetime | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[HourOfUsage]:
    """List what the caller asked, or an organization, another caller or everybody; the last hour first.

    Raises:
        UsageNotFound: the caller may not know of it.
        Invalid: more than one of them is named, or the times leave nothing.
    """
    if (org_id is not None) + (caller_id is not None) + everybody > 1:
        raise Invalid("name an organization, a caller or everybody, not several of them", pointer="/query/everybody")
    if since is not None and until is not None and until <= since:
        raise Invalid("it lies after `from`", pointer="/query/until")
    subject_id, subjects = await _permitted(caller, org_id, caller_id, everybody=everybody)
    async with read() as db:
        return await store.list_usage(
            db,
            subject_id,
            subjects,
            since=_EARLIEST if since is None else min(max(since, _EARLIEST), _LATEST),
            until=_LATEST if until is None else min(max(until, _EARLIEST), _LATEST),
            before=before or (_LATEST, ""),
            limit=limit,
        )


async def _permitted(
    caller: Principal, org_id: OrgId | None, caller_id: UUID | None, *, everybody: bool
) -> tuple[UUID, list[UsageOf]]:
    """Return whose usage is asked for, if the caller may see it."""
    if everybody:
        await permit(caller, READ, within())
        return EVERYBODY, ["platform"]
    if org_id is not None:
        await permit(caller, READ, within(org_id=org_id), missing=UsageNotFound)
        return org_id, ["organization"]
    subject_id = caller_id or caller.person()
    own = subject_id == caller.id
    async with read() as db:
        of_key = None if own else await store.find_organization_of_key(db, subject_id)
    where = Guarded(subject_id, org_id=of_key, owner_id=subject_id, see=READ)
    return await permit(caller, READ, where, missing=UsageNotFound), ["person", "key"]


async def purge_usage(platform: Principal, limit: int) -> int:
    """Delete what is older than it is kept, at most `limit` rows."""
    async with write(platform) as tx:
        return await store.delete_old_usage(tx, tx.now - KEPT, limit)


async def purge_usage_of_people(platform: Principal, limit: int) -> int:
    """Delete what people asked that is older than it is kept, at most `limit` rows."""
    async with write(platform) as tx:
        return await store.delete_old_usage_of_people(tx, tx.now - KEPT_OF_PEOPLE, limit)


async def purge_lots(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await store.delete_old_lots(tx, tx.now - _LOTS_KEPT, limit)
