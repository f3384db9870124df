"""Use cases of grants: give a role somewhere and end it, never beyond the caller's own rights, never the last owner's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from api.core.rbac.contract import (
    BeyondOwnRights,
    EndReason,
    GrantCreated,
    GrantEnded,
    GrantExtended,
    GrantId,
    GrantNotFound,
    PlaceUnknown,
    RoleUnknown,
)
from api.core.rbac.grant import rules, store
from api.core.rbac.grant.store import Grant, GrantFilter, NewGrant
from api.core.rbac.place import store as places
from api.core.rbac.role.logic import Grantable, find_built_in, get_grantable
from api.core.rbac.role.store import lock_role_shared
from api.core.rbac.suspension.store import delete_suspension
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.data import Connection, Transaction, read, write
from cluster.events import emit
from cluster.people.access import Guarded, ScopeKind, lacking, lapsing, permit, permitted, reach_of, within
from cluster.signals.broadcast import announce

OWNER = "org_owner"


async def list_grants(caller: Principal, wanted: GrantFilter, *, before: GrantId | None, limit: int) -> list[Grant]:
    """List the grants that the caller may see, newest first."""
    reach = await reach_of(caller, "grant:read")
    async with read() as db:
        return await store.list_grants(db, reach, wanted, before=before, limit=limit)


async def get_grant(caller: Principal, grant_id: GrantId) -> Grant:
    return await permitted(caller, "grant:read", store.find_grant, grant_id, missing=GrantNotFound)


async def create_grant(caller: Principal, new: NewGrant) -> tuple[Grant, bool]:
    """Grant a role in the name of a person; return the grant and whether it is new.

    Raises:
        RoleUnknown, RoleDoesNotFit, PlaceUnknown, BeyondOwnRights, Forbidden, NotFound
    """
    place = _place(new.scope, new.scope_id, new.org_id)
    await permit(caller, "grant:manage", place)
    async with read() as db:
        role = await get_grantable(db, new.role, new.org_id)
        rules.check_fits(role.name, role.scope, new.scope)
        rules.check_end(role.name, new.expires_at, datetime.now(UTC))
        await _check_place(db, new)
    await _check_rights(caller, role, place)
    await _check_outlasts(caller, role, place, new.expires_at)
    grant_id = GrantId(new_id())
    async with write(caller, result=grant_id, status=201) as tx:
        return await insert_grant(tx, grant_id, new, role, caller.id)


async def grant(caller: Principal, new: NewGrant, *, extends: bool = True) -> GrantId:
    """Grant a role for another service, which has checked the rights and owns the place.

    `extends=False`: a grant that stands keeps the end that it has.

    Raises:
        RoleUnknown, RoleDoesNotFit
    """
    role = find_built_in(new.role)
    if role is None:
        async with read() as db:
            role = await get_grantable(db, new.role, new.org_id)
    rules.check_fits(role.name, role.scope, new.scope)
    notes_place = new.scope in ("unit", "course", "run") and new.scope_id is not None and new.org_id is not None
    async with write(caller) as tx:
        made, _ = await insert_grant(
            tx, GrantId(new_id()), new, role, caller.id, extends=extends, notes_place=notes_place
        )
    return made.id


async def insert_grant(
    tx: Transaction,
    grant_id: GrantId,
    new: NewGrant,
    role: Grantable,
    granted_by: UserId | None,
    *,
    extends: bool = True,
    notes_place: bool = False,
) -> tuple[Grant, bool]:
    """Make a grant or, with `extends`, move the end of the one that stands, and tell; return it and whether it is new.

    `notes_place`: the caller owns the place, and says whose it is.

    Raises:
        RoleUnknown
    """
    if role.id is not None and not await lock_role_shared(tx, role.id):
        raise RoleUnknown("the role was deleted meanwhile", pointer="/role")
    grant, created, extended = await store.upsert_grant(
        tx,
        grant_id,
        new,
        role=role.name,
        role_id=role.id,
        granted_by=granted_by,
        extends=extends,
        notes_place=notes_place,
    )
    if created:
        emit(
            tx,
            GrantCreated(
                grant_id=grant.id,
                org_id=grant.org_id,
                user_id=grant.user_id,
                role=role.reference,
                scope=grant.scope,
                scope_id=grant.scope_id,
                expires_at=grant.expires_at,
            ),
            version=grant.version,
        )
    elif extended:
        emit(
            tx,
            GrantExtended(grant_id=grant.id, org_id=grant.org_id, user_id=grant.user_id, expires_at=grant.expires_at),
            version=grant.version,
        )
    if created or extended:
        announce(tx, "access", {"user_id": str(grant.user_id)})
    return grant, created


async def end_grant(caller: Principal, grant_id: GrantId) -> Grant:
    """End a grant: one's own, or where the caller may manage grants and holds what the role holds.

    Raises:
        GrantNotFound, BeyondOwnRights, LastOwner, Forbidden
    """
    seen = await get_grant(caller, grant_id)
    if seen.user_id != caller.id:
        await _check_may_end(caller, seen)
    if seen.ended_at is not None:
        return seen
    async with write(caller, result=grant_id) as tx:
        await _check_owners_stay(tx, [seen])
        ended = await end(tx, [grant_id], "ended")
    return ended[0] if ended else await get_grant(caller, grant_id)


async def revoke(caller: Principal, user_id: UserId, role: str, scope: ScopeKind, scope_id: UUID | None) -> bool:
    """End the grant of a role at a place; False when there is none.

    Raises:
        LastOwner
    """
    async with write(caller) as tx:
        found = await store.find_grant_of(tx, user_id, role, scope, scope_id)
        if found is None:
            return False
        await _check_owners_stay(tx, [found])
        return bool(await end(tx, [found.id], "ended"))


async def revoke_all(caller: Principal, org_id: OrgId, user_id: UserId) -> int:
    """End all grants of a person in an organization, and return how many that were.

    Raises:
        LastOwner
    """
    async with write(caller) as tx:
        rules.check_an_owner_stays(await store.lock_owners(tx, org_id), user_id)
        # A person who comes back is not suspended.
        await delete_suspension(tx, org_id, user_id)
        return len(await end(tx, await store.lock_grants_in_organization(tx, org_id, user_id), "ended"))


async def revoke_for_erasure(caller: Principal, user_id: UserId, org_id: OrgId | None) -> int:
    """End all grants of a person, in one organization or anywhere, and return how many that were.

    Raises:
        LastOwner
    """
    async with write(caller) as tx:
        held = await store.list_grants_of(tx, user_id, org_id)
        await _check_owners_stay(tx, held)
        return len(await end(tx, [grant.id for grant in held], "ended"))


async def discard(caller: Principal, org_id: OrgId) -> int:
    """End every grant of an organization that was not created, and return how many that were."""
    async with write(caller) as tx:
        return len(await end(tx, await store.lock_grants_in_organization(tx, org_id, None), "ended"))


async def end_expired(caller: Principal, limit: int = 500) -> int:
    """End up to `limit` grants whose time is over, and return how many that were."""
    async with write(caller) as tx:
        return len(await end(tx, await store.lock_expired(tx, limit), "expired"))


async def end(tx: Transaction, grant_ids: Sequence[GrantId], reason: EndReason) -> list[Grant]:
    """End those of these grants that have not ended, tell, and return them."""
    ended = await store.update_ended(tx, grant_ids)
    for grant in ended:
        emit(
            tx,
            GrantEnded(
                grant_id=grant.id,
                org_id=grant.org_id,
                user_id=grant.user_id,
                role=grant.role_reference,
                scope=grant.scope,
                scope_id=grant.scope_id,
                reason=reason,
            ),
            version=grant.version,
        )
    for user_id in {grant.user_id for grant in ended}:
        announce(tx, "access", {"user_id": str(user_id)})
    return ended


async def lacking_for(caller: Principal, role: str, org_id: OrgId) -> list[str]:
    """Return the permissions of a role that the caller does not hold in the organization itself, and without an end.

    Raises:
        RoleUnknown, RoleDoesNotFit
    """
    async with read() as db:
        found = await get_grantable(db, role, org_id)
    rules.check_fits(found.name, found.scope, "organization")
    place = within(org_id=org_id)
    missing = await lacking(caller, found.permissions, place)
    return [*missing, *await lapsing(caller, found.permissions, place, None)]


async def _check_place(db: Connection, new: NewGrant) -> None:
    if new.scope in ("platform", "organization"):
        return
    owner = None if new.scope_id is None else await places.find_organization_of(db, new.scope, new.scope_id)
    if owner is None or owner != new.org_id:
        raise PlaceUnknown(f"this organization has no {new.scope} with this id; check scope_id", pointer="/scope_id")


async def _check_rights(caller: Principal, role: Grantable, place: Guarded[None]) -> None:
    missing = await lacking(caller, role.permissions, place)
    if missing and await lacking(caller, ["grant:any"], place):
        raise BeyondOwnRights(
            f"the role {role.name} holds permissions that you do not hold there; ask somebody who does",
            permissions=missing,
        )


async def _check_outlasts(
    caller: Principal, role: Grantable, place: Guarded[None], expires_at: datetime | None
) -> None:
    """Check that the caller's rights there last as long as the grant: else a right for a week becomes one for years."""
    lapse = await lapsing(caller, [*role.permissions, "grant:manage"], place, expires_at)
    if lapse and (
        await lacking(caller, ["grant:any"], place) or await lapsing(caller, ["grant:any"], place, expires_at)
    ):
        raise BeyondOwnRights(
            "your own rights there end sooner: name an expires_at that they last to", permissions=sorted(set(lapse))
        )


async def _check_may_end(caller: Principal, seen: Grant) -> None:
    """Check that the caller may manage this grant of somebody else, and holds what its role holds.

    Raises:
        GrantNotFound, BeyondOwnRights, Forbidden
    """
    await permitted(caller, "grant:manage", store.find_grant, seen.id, missing=GrantNotFound)
    async with read() as db:
        try:
            role = await get_grantable(db, seen.role_reference, seen.org_id)
        except RoleUnknown:
            # A role that was deleted gives nothing: everybody who manages grants may end it.
            return
    await _check_rights(caller, role, _place(seen.scope, seen.scope_id, seen.org_id))


async def _check_owners_stay(tx: Transaction, ending: Sequence[Grant]) -> None:
    for held in ending:
        if held.role == OWNER and held.org_id is not None:
            rules.check_an_owner_stays(await store.lock_owners(tx, held.org_id), held.user_id)


def _place(scope: ScopeKind, scope_id: UUID | None, org_id: OrgId | None) -> Guarded[None]:
    return within(
        org_id=org_id,
        course_id=scope_id if scope == "course" else None,
        run_id=scope_id if scope == "run" else None,
    )
