"""Organizations: found, change, suspend and hand over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.core.organization import rules, store
from api.core.organization.contract import (
    MemberId,
    MemberJoined,
    MemberNotActive,
    MemberUpdated,
    OrganizationCreated,
    OrganizationNotFound,
    OrganizationResumed,
    OrganizationState,
    OrganizationSuspended,
    OrganizationTransferred,
    OrganizationUpdated,
    SlugTaken,
    SuccessorIsOwner,
    SuspendedOrganization,
    TooManyFoundings,
)
from api.core.organization.rules import check_slug
from api.core.organization.store import StoredOrganization
from api.core.rbac.contract import RbacCalls
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Forbidden, NotFound, Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import Guarded, permit, reach_of, within
from cluster.people.calls import client
from cluster.signals.broadcast import announce

_DAY = timedelta(days=1)


async def list_organizations(
    principal: Principal, *, slug: str | None, ids: list[UUID] | None, after: UUID | None, limit: int
) -> Sequence[StoredOrganization]:
    reach = await reach_of(principal, "organization:read")
    async with read() as db:
        return await store.list_organizations(db, reach, slug=slug, ids=ids, after=after, limit=limit)


async def get_organization(principal: Principal, org_id: OrgId) -> StoredOrganization:
    return await _permit(principal, "organization:read", org_id)


async def _permit(principal: Principal, permission: str, org_id: OrgId) -> StoredOrganization:
    """Return the organization if `principal` may do this to it; tell its people when they are shut out by its suspension."""
    async with read() as db:
        guarded = await store.find_organization(db, org_id)
    try:
        return await permit(principal, permission, guarded, missing=OrganizationNotFound)
    except (Forbidden, NotFound):
        if guarded is not None and principal.id is not None and await _is_shut_out(guarded, principal):
            raise SuspendedOrganization("ask the platform's administrators why, and what ends it") from None
        raise


async def _is_shut_out(guarded: Guarded[StoredOrganization], principal: Principal) -> bool:
    organization = await permit(platform("organization"), "organization:read", guarded)
    if organization.state != "suspended" or principal.id is None:
        return False
    async with read() as db:
        member = await store.find_member_of(db, organization.id, principal.id)
    return member is not None and member.state == "active"


async def create_organization(principal: Principal, *, name: str, slug: str) -> StoredOrganization:
    """Found an organization; the caller owns it and is its first member.

    The owner's grant comes first: an organization without an owner must never be seen. A grant whose organization did not come
    to be names nothing that exists, and `handlers` clears it away.

    Raises:
        SlugTaken, Invalid, TooManyFoundings
    """
    await permit(principal, "organization:create", within(public=True))
    founder = principal.person()
    check_slug(slug)
    async with read() as db:
        rules.check_founded(await store.count_founded(db, founder, datetime.now(UTC) - _DAY))
        if await store.slug_is_taken(db, slug):
            raise store.slug_taken(slug)
    org_id = OrgId(new_id())
    member_id = MemberId(new_id())
    await client(RbacCalls).grant(founder, "org_owner", "organization", org_id, org_id, granted_by=founder)
    try:
        async with write(principal, result=org_id, status=201) as tx:
            await tx.take_turns("organization.foundings", founder)
            rules.check_founded(await store.count_founded(tx, founder, tx.now - _DAY))
            organization = await store.insert_organization(
                tx, org_id, slug=slug, name=name, founder=founder, member_id=member_id
            )
            emit(tx, OrganizationCreated(org_id=org_id, owner_id=founder), version=organization.version)
            emit(tx, MemberJoined(member_id=member_id, org_id=org_id, user_id=founder), version=1)
            _tell(tx, organization)
            founded = MemberUpdated(member_id=member_id, org_id=org_id, user_id=founder, state="active")
            emit(tx, founded, version=1)
            announce(tx, "access", {"user_id": str(founder)})
    except (SlugTaken, TooManyFoundings):
        # A twin was quicker. Only here it is certain that nothing was committed.
        await client(RbacCalls).discard(org_id)
        raise
    return organization


async def change_organization(
    principal: Principal, org_id: OrgId, version: int, changes: dict[str, Any]
) -> StoredOrganization:
    """Change name and slug.

    Raises:
        OrganizationNotFound, SlugTaken, Invalid, Stale
    """
    await _permit(principal, "organization:edit", org_id)
    if "slug" in changes:
        check_slug(changes["slug"])
    async with write(principal, result=org_id) as tx:
        present = await store.lock_organization(tx, org_id)
        if present.version != version:
            raise Stale(present.version)
        organization = await store.update_organization(
            tx,
            org_id,
            slug=changes.get("slug", present.slug),
            name=changes.get("name", present.name),
            state=present.state,
        )
        _tell(tx, organization)
    return organization


def _tell(tx: Transaction, organization: StoredOrganization) -> None:
    """Tell what an organization is after a change."""
    event = OrganizationUpdated(org_id=organization.id, state=organization.state)
    emit(tx, event, version=organization.version)


async def suspend(principal: Principal, org_id: OrgId) -> StoredOrganization:
    """Shut everybody of the organization out; the platform's administrators stay.

    Grants rest at once, memberships within the 5 s that a membership may be kept.
    """
    await _permit(principal, "organization:suspend", org_id)
    await client(RbacCalls).suspend(org_id)
    return await _set_state(principal, org_id, "suspended")


async def resume(principal: Principal, org_id: OrgId) -> StoredOrganization:
    """End the suspension."""
    await _permit(principal, "organization:suspend", org_id)
    await client(RbacCalls).resume(org_id)
    return await _set_state(principal, org_id, "active")


async def _set_state(principal: Principal, org_id: OrgId, state: OrganizationState) -> StoredOrganization:
    async with write(principal, result=org_id) as tx:
        present = await store.lock_organization(tx, org_id)
        if present.state == state:
            return present
        changed = await store.update_organization(tx, org_id, slug=present.slug, name=present.name, state=state)
        event = OrganizationSuspended(org_id=org_id) if state == "suspended" else OrganizationResumed(org_id=org_id)
        emit(tx, event, version=changed.version)
        _tell(tx, changed)
    return changed


async def transfer(principal: Principal, org_id: OrgId, successor: UUID) -> StoredOrganization:
    """Make another member the owner; who was it becomes an administrator.

    Raises:
        OrganizationNotFound, MemberNotActive, SuccessorIsOwner, BeyondOwnRights
    """
    await _permit(principal, "organization:transfer", org_id)
    owner = principal.person()
    async with read() as db:
        member = await store.find_active_member(db, org_id, successor)
    if member is None:
        raise MemberNotActive("only an active member can become the owner: invite them first", pointer="/user_id")
    if member.user_id == owner:
        raise SuccessorIsOwner("name somebody else: nobody hands an organization to themselves", pointer="/user_id")
    await client(RbacCalls).transfer_ownership(org_id, owner, member.user_id)
    async with write(principal, result=org_id) as tx:
        present = await store.lock_organization(tx, org_id)
        changed = await store.update_organization(tx, org_id, slug=present.slug, name=present.name, state=present.state)
        event = OrganizationTransferred(org_id=org_id, owner_id=owner, successor_id=member.user_id)
        emit(tx, event, version=changed.version)
        _tell(tx, changed)
    return changed
