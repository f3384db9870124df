"""What organization hears: somebody became an owner."""

from datetime import timedelta

from api.core.organization import store
from api.core.organization.jobs import DiscardUnfounded
from api.core.rbac.contract import GrantCreated
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue

FOUNDING_LASTS = timedelta(minutes=10)
"""Far longer than a request may take: an organization that is not there by then will not come."""


@on(GrantCreated)
async def on_grant_created(tx: Transaction, envelope: Envelope, event: GrantCreated) -> None:
    """Look later whether the organization of a new owner came to be."""
    if event.role != "org_owner" or event.org_id is None or await store.find_organization(tx, event.org_id) is not None:
        return
    enqueue(tx, DiscardUnfounded(org_id=event.org_id), at=tx.now + FOUNDING_LASTS, dedupe=str(event.org_id))
