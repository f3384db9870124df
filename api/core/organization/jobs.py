"""Durable work of organization: letters and roles of invitations, bans, and owners of organizations that were not created."""

from api.core.organization import store
from api.core.organization.ban import logic as bans
from api.core.organization.contract import CarryOutBans, DiscardUnfounded, GrantInvited, MailInvitation
from api.core.organization.invitation import letters, logic
from api.core.rbac.contract import RbacCalls
from cluster.data import read
from cluster.jobs import JobRun, perform
from cluster.people.calls import client


@perform(GrantInvited)
async def grant_invited(run: JobRun, args: GrantInvited) -> None:
    await logic.grant_invited(run.principal, args.invitation_id, args.user_id)


@perform(MailInvitation)
async def mail_invitation(run: JobRun, args: MailInvitation) -> None:
    await letters.hand_over(run.principal, args.invitation_id)


@perform(CarryOutBans)
async def carry_out_bans(run: JobRun, args: CarryOutBans) -> None:
    await bans.carry_out(run.principal, args.org_id, args.user_id)


@perform(DiscardUnfounded)
async def discard_unfounded(run: JobRun, args: DiscardUnfounded) -> None:
    """End the grants of an organization whose creation broke off after the grant of its owner."""
    async with read() as db:
        founded = await store.find_summary(db, args.org_id)
    if founded is None:
        await client(RbacCalls).discard(args.org_id)
