"""Reactions to events of auth, and of services that did their part of a privacy request."""

from api.core.auth.contract import EmailVerified, PasswordChanged
from api.core.user.contract import CopyAddress
from api.core.user.privacy_request import logic as privacy_requests
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue
from cluster.people import erasure
from cluster.people.erasure import PartDone


@on(EmailVerified)
async def on_email_verified(tx: Transaction, envelope: Envelope, event: EmailVerified) -> None:
    """Copy the address in a job: the event does not contain it, and a transaction allows no call."""
    enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))


@on(PasswordChanged)
async def on_password_changed(tx: Transaction, envelope: Envelope, event: PasswordChanged) -> None:
    """Copy the address: a reset by a mailed link has verified it."""
    if event.reset:
        enqueue(tx, CopyAddress(user_id=event.user_id), dedupe=str(event.user_id))


async def on_privacy_part_done(tx: Transaction, envelope: Envelope, event: PartDone) -> None:
    """Record the part of a service; after the last one the request goes on."""
    await privacy_requests.take_answer(tx, envelope.source, event)


for _service in erasure.services():
    on(erasure.part_done_of(_service))(on_privacy_part_done)
