"""What user does about events of others."""

from api.core.auth.contract import EmailVerified
from api.core.user.jobs import CopyAddress
from cluster.events import Envelope, on
from cluster.jobs import enqueue
from cluster.postgres import Transaction


@on(EmailVerified)
async def on_email_verified(tx: Transaction, envelope: Envelope, event: EmailVerified) -> None:
    """Copy the address later: the event does not carry it, and a call has no place in a transaction."""
    enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))
