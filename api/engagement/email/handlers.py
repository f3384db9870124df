"""What email hears: which organizations are suspended."""

from api.core.organization.contract import OrganizationUpdated
from api.engagement.email.hold import logic as holds
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(OrganizationUpdated, projects=True)
async def on_organization_updated(tx: Transaction, envelope: Envelope, event: OrganizationUpdated) -> None:
    """Stop its letters to many while it is suspended."""
    suspended = event.state == "suspended"
    await holds.note_organization(tx, event.org_id, suspended=suspended, version=envelope.version)
