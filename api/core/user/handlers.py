"""Reactions to events of auth and moderation, and of services that did their part of a privacy request."""

from api.core.auth.contract import EmailVerified, PasswordChanged
from api.core.organization.contract import MemberUpdated
from api.core.user import logic
from api.core.user.contract import CopyAddress, UserUpdated
from api.core.user.membership import logic as membership
from api.core.user.privacy_request import logic as privacy_requests
from api.core.user.rules import MODERATED_KIND
from api.platform.moderation.contract import Decided
from cluster.base.ids import UserId
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


@on(MemberUpdated, projects=True)
async def on_member_updated(tx: Transaction, envelope: Envelope, event: MemberUpdated) -> None:
    await membership.take_over(tx, event, envelope.version)


@on(UserUpdated)
async def on_user_updated(tx: Transaction, envelope: Envelope, event: UserUpdated) -> None:
    """A person may have another name now."""
    await membership.tell_documents(tx, event.user_id)


@on(Decided)
async def on_decided(tx: Transaction, envelope: Envelope, event: Decided) -> None:
    """Hide what a moderator removed, and show it again when the decision is reversed."""
    if event.kind == MODERATED_KIND:
        removed = "remove" in event.in_force
        await logic.follow_moderation(tx, UserId(event.thing_id), removed=removed, version=envelope.version)


async def on_privacy_part_done(tx: Transaction, envelope: Envelope, event: PartDone) -> None:
    """Record the part of a service; after the last one the request goes on."""
    await privacy_requests.take_answer(tx, envelope.source, event)


for _service in erasure.services():
    on(erasure.part_done_of(_service))(on_privacy_part_done)
