"""Grants: give a role somewhere and take it away again, never beyond one's own rights, never the last owner's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.core.rbac import rules, store
from api.core.rbac.contract import (
    BeyondOwnRights,
    EndReason,
    GrantCreated,
    GrantEnded,
    GrantExtended,
    GrantId,
    GrantNotFound,
    PlaceUnknown,
    RoleId,
    RoleUnknown,
    SuccessorIsSuspended,
)
from api.core.rbac.store import Grant, GrantFilter, HeldRole
from api.learning.course.contract import CourseExistence
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.registry import offers
from cluster.data import Connection, Transaction, read, write
from cluster.events import emit
from cluster.people.access import (
    GrantedScope,
    Guarded,
    Role,
    ScopeKind,
    lacking,
    lapsing,
    permissions_of_role,
    permit,
    reach_of,
    within,
)
from cluster.people.calls import client
from cluster.signals.broadcast import announce

OWNER = "org_owner"
UNCONFIRMED_FOR = timedelta(days=1)
"""How long grants on a course wait for it to exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantable:
    """A role that can be granted: built in (`id` is None) or of one organization."""

    name: str
    scope: ScopeKind
    permissions: tuple[str, ...]
    id: RoleId | None = None

    @property
    def reference(self) -> str:
        """What events and requests call it: they carry no text that people wrote."""
        return self.name if self.id is None else str(self.id)


def built_in_roles() -> list[Role]:
    return sorted(offers(Role), key=lambda role: role.name)


async def grantable(db: Connection, role: str, org_id: OrgId | None) -> Grantable:
    """Find a role by a built-in one's name or a custom one's id.

    Raises:
        RoleUnknown
    """
    for offer in offers(Role):
        if offer.name == role:
            return Grantable(name=role, scope=offer.scope, permissions=permissions_of_role(role))
    try:
        guarded = await store.find_role(db, RoleId(UUID(role)))
    except ValueError:
        guarded = None
    if guarded is None or guarded.org_id != org_id or org_id is None:
        raise RoleUnknown(f"{role} is no role here; GET /v1/roles lists them", pointer="/role")
    custom = await permit(Principal(kind="platform"), "role:read", guarded)
    return Grantable(name=custom.name, scope="run", permissions=tuple(custom.permissions), id=custom.id)


async def grants_of(user_id: UserId) -> list[GrantedScope]:
    """Return all that a person was granted and that counts now."""
    async with read() as db:
        held = await store.list_held_roles(db, user_id)
    return [
        GrantedScope(role.scope, role.scope_id, role.org_id, permissions_of(role), role.expires_at) for role in held
    ]


def permissions_of(held: HeldRole) -> tuple[str, ...]:
    return permissions_of_role(held.role) if held.permissions is None else tuple(held.permissions)


async def lacking_against(
    principal: Principal,
    user_id: UserId,
    org_id: OrgId,
    *,
    course_id: UUID | None = None,
    roles: list[str] | None = None,
) -> list[str]:
    """Return what a person was granted in the organization itself, or in its course, and `principal` does not hold there.

    Somebody with fewer rights must not take theirs away. `roles`: only what these built-in roles gave.
    """
    scope, scope_id = ("organization", org_id) if course_id is None else ("course", course_id)
    async with read() as db:
        held = await store.list_roles_in(db, user_id, scope, scope_id)
    taken = [role for role in held if roles is None or (role.permissions is None and role.role in roles)]
    permissions = {permission for role in taken for permission in permissions_of(role)}
    return await lacking(principal, sorted(permissions), within(org_id=org_id, course_id=course_id))


async def _check_rights(principal: Principal, role: Grantable, place: Guarded[None]) -> None:
    missing = await lacking(principal, role.permissions, place)
    if missing and await lacking(principal, ["grant:any"], place):
        raise BeyondOwnRights(
            f"the role {role.name} holds permissions that you do not hold there; ask somebody who does",
            permissions=missing,
        )


async def _check_outlasts(
    principal: Principal, role: Grantable, place: Guarded[None], expires_at: datetime | None
) -> None:
    """Return when the rights of `principal` there last as long as what they give: else who has a week makes it years."""
    lapse = await lapsing(principal, [*role.permissions, "grant:manage"], place, expires_at)
    if lapse and (
        await lacking(principal, ["grant:any"], place) or await lapsing(principal, ["grant:any"], place, expires_at)
    ):
        raise BeyondOwnRights(
            "your own rights there end sooner: name an expires_at that they last to", permissions=sorted(set(lapse))
        )


def _place(scope: ScopeKind, scope_id: UUID | None, org_id: OrgId | None) -> Guarded[None]:
    return within(
        org_id=org_id,
        course_id=scope_id if scope == "course" else None,
        run_id=scope_id if scope == "run" else None,
        public=scope == "platform",
    )


async def list_grants(principal: Principal, wanted: GrantFilter, after: UUID | None, limit: int) -> list[Grant]:
    reach = await reach_of(principal, "grant:read")
    async with read() as db:
        return await store.list_grants(db, reach, wanted, after, limit)


async def get_grant(principal: Principal, grant_id: GrantId) -> Grant:
    async with read() as db:
        guarded = await store.find_grant(db, grant_id)
    return await permit(principal, "grant:read", guarded, missing=GrantNotFound)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    user_id: UserId
    role: str
    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    expires_at: datetime | None = None


async def create_grant(principal: Principal, new: NewGrant) -> tuple[Grant, bool]:
    """Grant a role in the name of a person; return the grant and whether it is new.

    Raises:
        RoleUnknown, RoleDoesNotFit, PlaceUnknown, BeyondOwnRights, Forbidden, NotFound
    """
    place = _place(new.scope, new.scope_id, new.org_id)
    await permit(principal, "grant:manage", place)
    async with read() as db:
        role = await grantable(db, new.role, new.org_id)
        rules.check_fits(role.name, role.scope, new.scope)
        rules.check_end(role.name, new.expires_at, datetime.now(UTC))
        if new.scope not in ("platform", "organization"):
            owner = None if new.scope_id is None else await store.find_place(db, new.scope, new.scope_id)
            if owner is None or owner != new.org_id:
                raise PlaceUnknown(
                    f"this organization has no {new.scope} with this id; check scope_id", pointer="/scope_id"
                )
    await _check_rights(principal, role, place)
    await _check_outlasts(principal, role, place, new.expires_at)
    grant_id = GrantId(new_id())
    async with write(principal, result=grant_id, status=201) as tx:
        return await _grant(tx, grant_id, new, role, principal.id)


async def _grant(
    tx: Transaction,
    grant_id: GrantId,
    new: NewGrant,
    role: Grantable,
    granted_by: UserId | None,
    *,
    extends: bool = True,
) -> tuple[Grant, bool]:
    if role.id is not None and not await store.keep_role(tx, role.id):
        raise RoleUnknown("the role was deleted meanwhile", pointer="/role")
    grant, created, extended = await store.insert_grant(
        tx,
        grant_id,
        new.user_id,
        role=role.name,
        role_id=role.id,
        scope=new.scope,
        scope_id=new.scope_id,
        org_id=new.org_id,
        expires_at=new.expires_at,
        granted_by=granted_by,
        extends=extends,
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


async def grant(actor: Principal, new: NewGrant, *, extends: bool = True) -> GrantId:
    """Grant a role because another service says so; it has checked the rights, and owns the place.

    `extends=False`: a grant that stands keeps the end that it has.
    """
    async with read() as db:
        role = await grantable(db, new.role, new.org_id)
    rules.check_fits(role.name, role.scope, new.scope)
    async with write(actor) as tx:
        if new.scope in ("unit", "course", "run") and new.scope_id is not None and new.org_id is not None:
            await store.insert_place(tx, new.scope, new.scope_id, new.org_id)
        made, _ = await _grant(tx, GrantId(new_id()), new, role, actor.id, extends=extends)
    return made.id


async def end_grant(principal: Principal, grant_id: GrantId) -> Grant:
    """End a grant: one's own, or where one may manage them and holds what the role holds.

    Raises:
        GrantNotFound, BeyondOwnRights, LastOwner, Forbidden
    """
    async with read() as db:
        guarded = await store.find_grant(db, grant_id)
    seen = await permit(principal, "grant:read", guarded, missing=GrantNotFound)
    if seen.user_id != principal.id:
        await permit(principal, "grant:manage", guarded)
        async with read() as db:
            role = await _still_grantable(db, seen)
        if role is not None:
            await _check_rights(principal, role, _place(seen.scope, seen.scope_id, seen.org_id))
    if seen.ended_at is not None:
        return seen
    async with write(principal, result=grant_id) as tx:
        await _keep_an_owner(tx, [seen])
        ended = await end(tx, [grant_id], "ended")
    return ended[0] if ended else await get_grant(principal, grant_id)


async def _still_grantable(db: Connection, grant: Grant) -> Grantable | None:
    try:
        return await grantable(db, grant.role if grant.role_id is None else str(grant.role_id), grant.org_id)
    except RoleUnknown:
        # A role that is gone gives nothing, and whoever manages grants may clear it away.
        return None


async def _keep_an_owner(tx: Transaction, ending: Sequence[Grant]) -> None:
    for held in ending:
        if held.role == OWNER and held.org_id is not None:
            rules.check_an_owner_stays(await store.lock_owners(tx, held.org_id), held.user_id)


async def end(tx: Transaction, ids: Sequence[UUID], reason: EndReason) -> list[Grant]:
    """End grants and tell everybody."""
    ended = await store.end_grants(tx, ids)
    for grant in ended:
        emit(
            tx,
            GrantEnded(
                grant_id=grant.id,
                org_id=grant.org_id,
                user_id=grant.user_id,
                role=grant.role if grant.role_id is None else str(grant.role_id),
                scope=grant.scope,
                scope_id=grant.scope_id,
                reason=reason,
            ),
            version=grant.version,
        )
    for user_id in {grant.user_id for grant in ended}:
        announce(tx, "access", {"user_id": str(user_id)})
    return ended


async def revoke(actor: Principal, user_id: UserId, role: str, scope: ScopeKind, scope_id: UUID | None) -> bool:
    """End the grant of a role at a place; False when there is none.

    Raises:
        LastOwner
    """
    async with write(actor) as tx:
        found = await store.find_grant_of(tx, user_id, role, scope, scope_id)
        if found is None:
            return False
        await _keep_an_owner(tx, [found])
        return bool(await end(tx, [found.id], "ended"))


async def revoke_all(actor: Principal, org_id: OrgId, user_id: UserId) -> int:
    """End all that a person was granted in an organization.

    Raises:
        LastOwner
    """
    async with write(actor) as tx:
        rules.check_an_owner_stays(await store.lock_owners(tx, org_id), user_id)
        # Should they come back, it is as somebody new.
        await store.delete_suspension(tx, org_id, user_id)
        return len(await end(tx, await store.lock_grants_in(tx, org_id, user_id), "ended"))


async def end_of_person(actor: Principal, user_id: UserId, org_id: OrgId | None) -> int:
    """End all that a person was granted, in one organization or anywhere.

    Raises:
        LastOwner
    """
    async with write(actor) as tx:
        held = await store.list_grants_of(tx, user_id, org_id)
        await _keep_an_owner(tx, held)
        return len(await end(tx, [grant.id for grant in held], "ended"))


async def owned_alone(user_id: UserId) -> list[OrgId]:
    async with read() as db:
        return await store.list_owned_alone(db, user_id)


async def discard(actor: Principal, org_id: OrgId) -> int:
    """End every grant of an organization that never came to be."""
    async with write(actor) as tx:
        return len(await end(tx, await store.lock_grants_in(tx, org_id, None), "ended"))


async def transfer_ownership(actor: Principal, org_id: OrgId, owner: UserId, successor: UserId) -> None:
    """Make `successor` an owner and `owner` an administrator. Repeating it changes nothing.

    Raises:
        BeyondOwnRights: who gives it away must have it; a role of the organization's own does not make up for that.
        SuccessorIsSuspended: an owner who may do nothing leaves nobody who may.
    """
    async with write(actor) as tx:
        owners = await store.lock_owners(tx, org_id)
        if owner not in owners:
            if successor in owners:
                return
            raise BeyondOwnRights("only an owner can hand the organization over")
        if await store.is_suspended(tx, org_id, successor):
            raise SuccessorIsSuspended("reactivate the member first: POST /v1/members/{id}/reactivate")
        for user_id, role in ((successor, OWNER), (owner, "org_admin")):
            new = NewGrant(user_id=user_id, role=role, scope="organization", scope_id=org_id, org_id=org_id)
            made = await grantable(tx, role, org_id)
            await _grant(tx, GrantId(new_id()), new, made, actor.id)
        owned = await store.find_grant_of(tx, owner, OWNER, "organization", org_id)
        if owned is not None:
            await end(tx, [owned.id], "ended")


async def suspend(actor: Principal, org_id: OrgId, user_id: UserId | None) -> None:
    """Let the grants of a member, or of everybody, rest.

    Raises:
        LastOwner: the member is the last owner that is left.
    """
    async with write(actor) as tx:
        if user_id is not None:
            rules.check_an_owner_stays(await store.lock_owners(tx, org_id), user_id)
        if await store.insert_suspension(tx, org_id, user_id):
            await _announce_change(tx, org_id, user_id)


async def resume(actor: Principal, org_id: OrgId, user_id: UserId | None) -> None:
    """Let them count again."""
    async with write(actor) as tx:
        if await store.delete_suspension(tx, org_id, user_id):
            await _announce_change(tx, org_id, user_id)


async def _announce_change(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> None:
    for holder in [user_id] if user_id is not None else await store.list_holders(tx, org_id=org_id):
        announce(tx, "access", {"user_id": str(holder)})


async def end_unconfirmed(actor: Principal, now: datetime, after: UUID | None = None) -> UUID | None:
    """End grants on courses that did not come to be within a day: a batch after `after`; return where the next begins.

    course itself is asked: news of a course may take longer than a day.
    """
    async with read() as db:
        waiting = await store.list_unconfirmed(db, now - UNCONFIRMED_FOR, after, 500)
    if not waiting:
        return None
    found = await client(CourseExistence, of="course").existence_of(waiting)
    gone = sorted(set(waiting) - {*found.existing, *found.pending})
    async with write(actor) as tx:
        await store.update_confirmed(tx, found.existing)
        await end(tx, await store.lock_grants_on(tx, gone), "expired")
        await store.delete_unconfirmed(tx, gone)
    return waiting[-1]


async def end_expired(actor: Principal, limit: int = 500) -> int:
    """End up to `limit` grants whose time is over, and return how many that were."""
    async with write(actor) as tx:
        return len(await end(tx, await store.lock_expired_grants(tx, limit), "expired"))
