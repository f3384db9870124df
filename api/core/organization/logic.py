"""Use cases of organizations: create, change, suspend, resume and transfer them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

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
from api.core.organization.member import store as members
from api.core.organization.store import StoredOrganization
from api.core.rbac.contract import RbacCalls
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden, NotFound, Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permit, permitted, reach_of, within
from cluster.people.calls import client
from cluster.signals.broadcast import announce

_DAY = timedelta(days=1)


async def list_organizations(
    caller: Principal, *, slug: str | None, ids: list[OrgId] | None, before: OrgId | None, limit: int
) -> list[StoredOrganization]:
    """List the organizations that the caller may see, newest first."""
    reach = await reach_of(caller, "organization:read")
    async with read() as db:
        return await store.list_organizations(db, reach, slug=slug, ids=ids, before=before, limit=limit)


async def get_organization(caller: Principal, org_id: OrgId) -> StoredOrganization:
    return await _permitted(caller, "organization:read", org_id)


async def _permitted(caller: Principal, permission: str, org_id: OrgId) -> StoredOrganization:
    """Return the organization if the caller may do this to it.

    Raises:
        SuspendedOrganization: the caller is a member, and its suspension shuts the caller out.
        OrganizationNotFound, Forbidden
    """
    try:
        return await permitted(caller, permission, store.find_organization, org_id, missing=OrganizationNotFound)
    except (Forbidden, NotFound):
        if caller.id is not None and await _is_shut_out(caller.id, org_id):
            raise SuspendedOrganization("ask the platform's administrators why, and what ends it") from None
        raise


async def _is_shut_out(user_id: UserId, org_id: OrgId) -> bool:
    async with read() as db:
        organization = await store.find_summary(db, org_id)
        if organization is None or organization.state != "suspended":
            return False
        return await members.find_active_member(db, org_id, user_id) is not None


async def create_organization(caller: Principal, *, name: str, slug: str) -> StoredOrganization:
    """Create an organization; the caller owns it and is its first member.

    The owner's grant comes first: an organization without an owner must never be seen. When the organization is not created, the
    grant names nothing that exists, and `handlers` has it ended.

    Raises:
        SlugTaken, Invalid, TooManyFoundings
    """
    await permit(caller, "organization:create", within())
    founder = caller.person()
    rules.check_slug(slug)
    async with read() as db:
        rules.check_founded(await store.count_founded(db, founder, datetime.now(UTC) - _DAY))
        if await store.find_id_of_slug(db, slug) is not None:
            raise _slug_taken(slug)
    org_id = OrgId(new_id())
    member_id = MemberId(new_id())
    await client(RbacCalls).grant(founder, "org_owner", "organization", org_id, org_id, granted_by=founder)
    try:
        async with write(caller, result=org_id, status=201) as tx:
            await tx.take_turns("organization.foundings", founder)
            rules.check_founded(await store.count_founded(tx, founder, tx.now - _DAY))
            organization = await store.insert_organization(
                tx, org_id, slug=slug, name=name, founder=founder, member_id=member_id
            )
            if organization is None:
                raise _slug_taken(slug)
            emit(tx, OrganizationCreated(org_id=org_id, owner_id=founder), version=organization.version)
            emit(tx, MemberJoined(member_id=member_id, org_id=org_id, user_id=founder), version=1)
            _tell_state(tx, organization)
            founded = MemberUpdated(member_id=member_id, org_id=org_id, user_id=founder, state="active")
            emit(tx, founded, version=1)
            announce(tx, "access", {"user_id": str(founder)})
    except (SlugTaken, TooManyFoundings):
        # A concurrent request was quicker. Only here it is certain that nothing was committed.
        await client(RbacCalls).discard(org_id)
        raise
    return organization


def _slug_taken(slug: str) -> SlugTaken:
    return SlugTaken(f"another organization is called {slug}; choose another slug", pointer="/slug")


async def change_organization(
    caller: Principal, org_id: OrgId, changes: dict[str, Any], expected_version: int
) -> StoredOrganization:
    """Change name and slug.

    Raises:
        OrganizationNotFound, SlugTaken, Invalid, Stale
    """
    await _permitted(caller, "organization:edit", org_id)
    if "slug" in changes:
        rules.check_slug(changes["slug"])
    async with write(caller, result=org_id) as tx:
        present = await store.lock_organization(tx, org_id)
        if present.version != expected_version:
            raise Stale(present.version)
        wanted = replace(present, **changes)
        try:
            changed = await store.update_organization(tx, wanted)
        except asyncpg.UniqueViolationError:
            raise _slug_taken(wanted.slug) from None
        _tell_state(tx, changed)
    return changed


def _tell_state(tx: Transaction, organization: StoredOrganization) -> None:
    """Emit what others project of an organization, after a change of it."""
    event = OrganizationUpdated(org_id=organization.id, state=organization.state)
    emit(tx, event, version=organization.version)


async def suspend(caller: Principal, org_id: OrgId) -> StoredOrganization:
    """Suspend an organization: everybody in it loses access but the platform's administrators.

    Grants rest at once, memberships within the 5 s that a membership may be kept.
    """
    await _permitted(caller, "organization:suspend", org_id)
    await client(RbacCalls).suspend(org_id)
    return await _change_state(caller, org_id, "suspended")


async def resume(caller: Principal, org_id: OrgId) -> StoredOrganization:
    """End the suspension of an organization."""
    await _permitted(caller, "organization:suspend", org_id)
    await client(RbacCalls).resume(org_id)
    return await _change_state(caller, org_id, "active")


async def _change_state(caller: Principal, org_id: OrgId, state: OrganizationState) -> StoredOrganization:
    async with write(caller, result=org_id) as tx:
        present = await store.lock_organization(tx, org_id)
        if present.state == state:
            return present
        changed = await store.update_organization(tx, replace(present, state=state))
        event = OrganizationSuspended(org_id=org_id) if state == "suspended" else OrganizationResumed(org_id=org_id)
        emit(tx, event, version=changed.version)
        _tell_state(tx, changed)
    return changed


async def transfer(caller: Principal, org_id: OrgId, successor: UserId) -> StoredOrganization:
    """Make another member the owner; the present owner becomes an administrator.

    Raises:
        OrganizationNotFound, MemberNotActive, SuccessorIsOwner, BeyondOwnRights
    """
    await _permitted(caller, "organization:transfer", org_id)
    owner = caller.person()
    async with read() as db:
        member = await members.find_active_member(db, org_id, successor)
    if member is None:
        raise MemberNotActive("only an active member can become the owner: invite them first", pointer="/user_id")
    if member.user_id == owner:
        raise SuccessorIsOwner("name somebody else: nobody hands an organization to themselves", pointer="/user_id")
    await client(RbacCalls).transfer_ownership(org_id, owner, member.user_id)
    async with write(caller, result=org_id) as tx:
        changed = await store.update_organization(tx, await store.lock_organization(tx, org_id))
        event = OrganizationTransferred(org_id=org_id, owner_id=owner, successor_id=member.user_id)
        emit(tx, event, version=changed.version)
        _tell_state(tx, changed)
    return changed
