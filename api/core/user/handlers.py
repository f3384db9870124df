"""What user does about events of others."""

from api.core.auth.contract import EmailVerified, PasswordChanged
from api.core.user.jobs import CopyAddress
from api.core.user.privacy_request import logic as privacy_requests
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue
from cluster.people import erasure
from cluster.people.erasure import PartDone


@on(EmailVerified)
async def on_email_verified(tx: Transaction, envelope: Envelope, event: EmailVerified) -> None:
    """Copy the address later: the event does not carry it, and a call has no place in a transaction."""
    enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))


@on(PasswordChanged)
async def on_password_changed(tx: Transaction, envelope: Envelope, event: PasswordChanged) -> None:
    """Copy the address: resetting by a mailed link has verified it."""
    if event.reset:
        enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))


async def on_privacy_part_done(tx: Transaction, envelope: Envelope, event: PartDone) -> None:
    """Note what a service did about a request; with the last one go on."""
    await privacy_requests.gather(tx, envelope.source, event)


for _service in erasure.services():
    on(erasure.part_done_of(_service))(on_privacy_part_done)
