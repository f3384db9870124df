"""Use cases of received mail: bounces and complaints suppress, answers reach whoever wrote."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Literal
from uuid import UUID, uuid5

from api.engagement.email.contract import (
    EmailReceived,
    LetterComplained,
    NewLetter,
    ReceivedId,
    ReceivedMail,
)
from api.engagement.email.delivery.recorder import bounced
from api.engagement.email.letter import logic as letters
from api.engagement.email.letter.content import hashes_of
from api.engagement.email.receiving import reading, store
from api.engagement.email.receiving.addresses import letter_of_bounce, letter_of_reply_address, routes
from api.engagement.email.receiving.proof import Spf, is_proven
from api.engagement.email.receiving.reading import Delivery, Mail, Unreadable
from api.engagement.email.receiving.store import Answerable, NewReceived
from api.engagement.email.rules import KEPT_AFTER_END
from api.engagement.email.suppression import logic as suppressions
from api.engagement.email.suppression.links import token_of
from cluster.base.addresses import key_of
from cluster.base.ids import new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Unavailable
from cluster.base.sealing import seal, unseal
from cluster.data import Transaction, read, write
from cluster.events import emit

_SEALING_PURPOSE = "received mail"
ROWS_KEPT_FOR = timedelta(days=90)
MOST_TOLD = 5
"""So many senders of answers to one letter are told that theirs is held: who forges more of them writes to nobody through us."""
_REPORT_AGAIN_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """From whom and to whom a mail server took a message (RFC 5321); `mail_from` is empty for reports."""

    mail_from: str
    rcpt_to: str
    spf: Spf = "headers"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message. Whoever handed it over is done in each case."""

    state: Literal["accepted", "held", "ignored", "refused"]
    reason: str | None = None


async def receive(envelope: Envelope, content: bytes) -> Result:
    """Take one message in. The same one again changes nothing.

    Raises:
        Unavailable: DNS is away, or the letter it is about is being handed over: try again.
    """
    [result] = await receive_for(envelope.mail_from, [envelope.rcpt_to], content, spf=envelope.spf)
    return result


async def receive_for(mail_from: str, recipients: Sequence[str], content: bytes, *, spf: Spf) -> list[Result]:
    """Take one message in for several addresses, and return what became of it for each.

    Raises:
        Unavailable: as `receive` does.
    """
    try:
        mail = await asyncio.to_thread(reading.read, content, mail_from)
    except Unreadable as error:
        return [Result("refused", str(error)) for _ in recipients]
    return [await _receive(Envelope(mail_from=mail_from, rcpt_to=each, spf=spf), mail, content) for each in recipients]


async def _receive(envelope: Envelope, mail: Mail, content: bytes) -> Result:
    bounced_id = letter_of_bounce(envelope.rcpt_to)
    if bounced_id is not None and mail.delivery is not None:
        await note_delivery(bounced_id, mail.delivery)
        return Result("accepted", f"{mail.delivery.action} {mail.delivery.status}")
    if mail.complaint is not None:
        letter_id = letter_of_bounce(mail.complaint.return_path)
        if letter_id is not None:
            await note_complaint(letter_id, mail.complaint.kind)
        return Result("accepted", mail.complaint.kind)
    if bounced_id is not None:
        return Result("ignored", "it is no report about a delivery (RFC 3464)")
    return await _answer(envelope, mail, content)


async def note_delivery(letter_id: UUID, delivery: Delivery) -> None:
    """Record what became of a letter at its reader's mail server. The same report again changes nothing.

    Raises:
        Unavailable: the letter is being handed over.
    """
    if delivery.action not in ("delivered", "failed"):
        return
    async with write(platform("email")) as tx:
        await _decided(tx, letter_id)
        if delivery.action == "delivered":
            await store.update_delivered(tx, letter_id)
        else:
            known = await store.update_bounced(
                tx,
                letter_id,
                soft=not delivery.hard,
                status=delivery.status,
                reason=f"it came back: {delivery.status}",
            )
            if known is not None:
                await bounced(tx, known)


async def _decided(tx: Transaction, letter_id: UUID) -> None:
    """Hold a letter whose sender knows how its last try ended.

    Raises:
        Unavailable: a report came before its sender has recorded that a server took the letter.
    """
    if await store.lock_letter(tx, letter_id) == "sending":
        raise Unavailable("the letter is being handed over: report this again", retry_after_s=_REPORT_AGAIN_S)


async def note_complaint(letter_id: UUID, kind: str) -> None:
    """Record that a letter's reader called it spam (RFC 5965, 7.3: the kind). The same report again changes nothing.

    Raises:
        Unavailable: the letter is being handed over.
    """
    if kind == "not-spam":
        return
    if kind.startswith("opt-out"):
        await suppressions.unsubscribe(token_of(letter_id))
        return
    async with write(platform("email")) as tx:
        await _decided(tx, letter_id)
        letter = await store.update_complained(tx, letter_id)
        if letter is None:
            return
        await suppressions.suppress(tx, letter.address_hash, "complained", letter_id=letter.id, caused_in=letter.org_id)
        told = LetterComplained(
            letter_id=letter.id, org_id=letter.org_id, user_id=letter.user_id, template=letter.template
        )
        emit(tx, told, version=letter.version)


async def _answer(envelope: Envelope, mail: Mail, content: bytes) -> Result:
    """Take an answer to a letter."""
    found = letter_of_reply_address(envelope.rcpt_to)
    if found is None or found[0] not in routes():
        return Result("refused", "nobody reads what is sent to this address")
    if mail.automatic:
        return Result("ignored", "a program wrote it (RFC 3834)")
    async with read() as db:
        letter = await store.find_answerable(db, found[1], found[0])
    if letter is None or (letter.reply_until is not None and letter.reply_until <= datetime.now(UTC)):
        return Result("refused", "the time to answer this letter is over")
    author = mail.author
    if author is None:
        return Result("refused", "From names no address, or several")
    why = await _doubt(letter, author, mail.message, content, envelope)
    if why is None and not mail.words:
        return Result("refused", "there is nothing in it but what it quotes")
    received = NewReceived(
        id=ReceivedId(new_id()),
        digest=hashlib.sha256(envelope.rcpt_to.lower().encode() + b"\n" + content).digest(),
        message_key=reading.key_of_message(mail.message_id, letter.id),
        letter_id=letter.id,
        route=letter.reply_route,
        subject_id=letter.reply_subject,
        user_id=letter.user_id,
        org_id=letter.org_id,
        state="accepted" if why is None else "held",
        reason=why,
        # What somebody else may have written is not kept in the person's name.
        sealed=seal("email", _SEALING_PURPOSE, mail.words.encode(errors="replace")) if why is None else None,
    )
    async with write(platform("email")) as tx:
        if await store.insert_received(tx, received):
            await _tell(tx, received, letter, author)
    return Result("accepted" if why is None else "held", why)


async def _doubt(
    letter: Answerable, author: str, message: EmailMessage, content: bytes, envelope: Envelope
) -> str | None:
    """Say why an answer may not be its reader's; None: it is."""
    if letter.address_hash not in hashes_of(key_of(author)):
        return "it comes from another address than the letter went to"
    try:
        domain = reading.author_domain(author)
        proven = await is_proven(content, message, domain, mail_from=envelope.mail_from, spf=envelope.spf)
    except ConnectionError as error:
        raise Unavailable("DNS does not answer: hand it over again") from error
    return None if proven else "neither DKIM nor SPF shows that it comes from there"


async def _tell(tx: Transaction, received: NewReceived, letter: Answerable, author: str) -> None:
    """Tell the service whose letter it was, or its sender why the answer is held; an address once a letter."""
    if received.state == "accepted":
        told = EmailReceived(
            received_id=received.id,
            route=received.route,
            subject_id=received.subject_id,
            user_id=received.user_id,
            org_id=received.org_id,
        )
        emit(tx, told, version=1)
        return
    if await store.count_held(tx, received.user_id, received.letter_id) > MOST_TOLD:
        return
    notice = NewLetter(
        id=uuid5(letter.id, key_of(author)),
        template="email.held",
        to=author,
        locale=letter.locale,
        user_id=None,
        org_id=None,
        fields={"reason": received.reason or ""},
        expires_at=None,
    )
    await letters.take(tx, [notice])


async def find_received(received_id: ReceivedId) -> ReceivedMail | None:
    """Find an accepted answer while its words are kept."""
    async with read() as db:
        found = await store.find_received(db, received_id)
    if found is None:
        return None
    return ReceivedMail(
        id=found.id,
        route=found.route,
        subject_id=found.subject_id,
        user_id=found.user_id,
        org_id=found.org_id,
        text=unseal("email", _SEALING_PURPOSE, found.sealed).decode(),
        received_at=found.received_at,
    )


async def delete_words(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await store.delete_words(tx, datetime.now(UTC) - KEPT_AFTER_END, limit)


async def delete_received(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await store.delete_received(tx, datetime.now(UTC) - ROWS_KEPT_FOR, limit)
