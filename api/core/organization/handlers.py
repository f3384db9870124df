"""What organization hears: a person became an owner, and moderators banned somebody."""

from datetime import timedelta

from api.core.organization import store
from api.core.organization.ban import logic as bans
from api.core.organization.ban.check import try_again
from api.core.organization.contract import DiscardUnfounded
from api.core.rbac.contract import GrantCreated
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue

FOUNDING_TIMEOUT = timedelta(minutes=10)
"""Far longer than a request may take: an organization that does not exist by then is not created any more."""


@on(GrantCreated)
async def on_grant_created(tx: Transaction, envelope: Envelope, event: GrantCreated) -> None:
    """Check later whether the organization of a new owner was created; one that was may let go of a banned owner now."""
    if event.role != "org_owner" or event.org_id is None:
        return
    if await store.find_summary(tx, event.org_id) is not None:
        await try_again(tx, event.org_id)
        return
    enqueue(tx, DiscardUnfounded(org_id=event.org_id), at=tx.now + FOUNDING_TIMEOUT, dedupe=str(event.org_id))


@on(Decided)
async def on_decided(tx: Transaction, envelope: Envelope, event: Decided) -> None:
    """Suspend a member whom a moderator banned, and reactivate them when that is reversed."""
    await bans.follow_decision(tx, event)
