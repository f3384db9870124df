"""Durable work: roles that were promised, and owners of organizations that never came to be."""

from dataclasses import dataclass

from api.core.organization import invitation_store, store
from api.core.organization.contract import InvitationId
from api.core.organization.store import Invitation
from api.core.rbac.contract import RbacCalls
from cluster.base.ids import OrgId, UserId
from cluster.data import read
from cluster.jobs import JobRun, job, perform
from cluster.people.access import permit
from cluster.people.calls import client


@job("organization.grant_invited", attempts=20, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class GrantInvited:
    invitation_id: InvitationId
    user_id: UserId


@perform(GrantInvited)
async def grant_invited(run: JobRun, args: GrantInvited) -> None:
    """Give the roles of an accepted invitation, unless the member has left since."""
    async with read() as db:
        guarded = await invitation_store.find_invitation(db, args.invitation_id)
        invitation = await permit(run.principal, "invitation:manage", guarded)
        member = await store.find_active_member(db, invitation.org_id, args.user_id)
    if member is not None:
        await grant_roles(invitation, args.user_id)


async def grant_roles(invitation: Invitation, user_id: UserId) -> None:
    """Give what the invitation promised, in the name of who made it, unless the member leaves meanwhile."""
    for role in invitation.roles:
        await client(RbacCalls).grant(
            user_id, role, "organization", invitation.org_id, invitation.org_id, invitation.created_by
        )
    async with read() as db:
        member = await store.find_active_member(db, invitation.org_id, user_id)
    if member is None:
        await client(RbacCalls).revoke_all(user_id, invitation.org_id)


@job("organization.discard_unfounded", attempts=20, timeout_s=30)
@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardUnfounded:
    org_id: OrgId


@perform(DiscardUnfounded)
async def discard_unfounded(run: JobRun, args: DiscardUnfounded) -> None:
    """End the grants of an organization whose founding broke off after its owner was granted."""
    async with read() as db:
        founded = await store.find_organization(db, args.org_id)
    if founded is None:
        await client(RbacCalls).discard(args.org_id)
