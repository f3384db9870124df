"""What user does about events of others."""

from api.core.auth.contract import EmailVerified, PasswordChanged
from api.core.user.jobs import CopyAddress
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue


@on(EmailVerified)
async def on_email_verified(tx: Transaction, envelope: Envelope, event: EmailVerified) -> None:
    """Copy the address later: the event does not carry it, and a call has no place in a transaction."""
    enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))


@on(PasswordChanged)
async def on_password_changed(tx: Transaction, envelope: Envelope, event: PasswordChanged) -> None:
    """Copy the address: resetting by a mailed link has verified it."""
    if event.reset:
        enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))
