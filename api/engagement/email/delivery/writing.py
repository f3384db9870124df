"""Write the message of a letter that is due, from what is kept of it."""

from collections.abc import Sequence

from api.engagement.email.delivery.message import message_of, return_path
from api.engagement.email.delivery.store import Waiting
from api.engagement.email.delivery.transport import Outgoing
from api.engagement.email.letter.content import Content
from api.engagement.email.receiving.addresses import reply_address
from api.engagement.email.sender.logic import Senders, find_senders, platform_sender
from api.engagement.email.suppression.links import unsubscribe_url
from api.engagement.email.template import texts
from api.engagement.email.template.texts import OwnTexts, find_own_texts
from cluster.data import Connection


class Writer:
    """What letters need of organizations: who writes them, and their own texts, as they are now."""

    def __init__(self, senders: Senders, own: OwnTexts) -> None:
        self._senders = senders
        self._own = own

    def outgoing_of(self, letter: Waiting, *, rewritten: bool = False) -> Outgoing:
        """Write a letter. `rewritten`: whoever takes it may write Date and Message-ID anew, so nothing vouches for them.

        Raises:
            TemplateRefused: its template changed since it was taken.
            SealBroken: HUB_SECRET lists another secret.
        """
        content = Content.unseal(letter.sealed)
        sender = self._senders.of(letter.org_id, letter.sender_domain)
        unsubscribe = None if letter.category is None else unsubscribe_url(letter.id)
        rendered = texts.render(
            letter.template,
            letter.locale,
            content.fields,
            own=self._own.of(letter.org_id, letter.template, letter.source_id),
            sender=sender.name,
            unsubscribe=unsubscribe,
        )
        message = message_of(
            letter.id,
            rendered,
            sender=sender,
            sender_domain=letter.sender_domain,
            to=content.to,
            created_at=letter.created_at,
            unsubscribe=unsubscribe,
            reply_to=None if letter.reply_route is None else reply_address(letter.reply_route, letter.id),
        )
        if sender.signer is not None:
            message = sender.signer.sign(message, at_s=int(letter.created_at.timestamp()), rewritten=rewritten)
        # To the platform, which reads what comes back, whoever wrote it.
        return Outgoing(return_path=return_path(letter.id, platform_sender().domain), to=content.to, message=message)


async def find_writer(db: Connection, letters: Sequence[Waiting]) -> Writer:
    """Find what these letters need."""
    senders = await find_senders(db, {each.sender_domain for each in letters})
    return Writer(senders, await find_own_texts(db, {(each.org_id, each.template, each.source_id) for each in letters}))
