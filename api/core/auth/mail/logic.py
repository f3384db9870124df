"""Letters with links: written sealed beside their link, handed to email by a job."""

import secrets
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

import orjson

from api.core.auth.contract import LinkPurpose, MailLink
from api.core.auth.mail import store
from api.core.auth.mail.store import Link
from api.engagement.email.contract import EmailCalls, NewLetter
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.base.sealing import seal, sha256, unseal
from cluster.base.settings import settings
from cluster.data import Transaction, read, write
from cluster.jobs import enqueue
from cluster.people.calls import client

_SEALING_PURPOSE = "mail"
_LINK_LIFETIMES: dict[LinkPurpose, timedelta] = {"verify": timedelta(days=3), "reset": timedelta(hours=1)}
MAX_MAILS_PER_HOUR = 5
"""Of one purpose, to one person. The link in the last of them keeps working."""


class _Mail(TypedDict):
    user_id: UserId
    purpose: LinkPurpose
    to: str
    url: str
    locale: str
    expires_at: datetime


async def post(
    tx: Transaction, user_id: UserId, *, purpose: LinkPurpose, email: str, subject: str, locale: str
) -> bool:
    """Write a letter with a link that works once; older links of the same purpose stop working.

    Return False, and change nothing, when the person got `MAX_MAILS_PER_HOUR` of them within the hour.
    """
    token = secrets.token_urlsafe(32)
    link = Link(
        token_sha256=sha256(token),
        user_id=user_id,
        purpose=purpose,
        email=email,
        subject=subject,
        expires_at=tx.now + _LINK_LIFETIMES[purpose],
        used_at=None,
    )
    mail = _Mail(
        user_id=user_id,
        purpose=purpose,
        to=email,
        # Behind the #: browsers do not send that part, so that it gets into no log.
        url=f"{settings().public_url}/{purpose}#{token}",
        locale=locale,
        expires_at=link.expires_at,
    )
    mail_id = new_id()
    sealed = seal("auth", _SEALING_PURPOSE, orjson.dumps(mail))
    if not await store.insert_link(tx, link, mail_id=mail_id, sealed=sealed, max_per_hour=MAX_MAILS_PER_HOUR):
        return False
    enqueue(tx, MailLink(mail_id=mail_id))
    return True


async def hand_over(caller: Principal, mail_id: UUID) -> None:
    """Hand a letter to email, once by its id, and forget it here."""
    async with read() as db:
        sealed = await store.find_sealed(db, mail_id)
    if sealed is None:
        return
    mail: _Mail = orjson.loads(unseal("auth", _SEALING_PURPOSE, sealed))
    letter = NewLetter(
        id=mail_id,
        template=f"auth.{mail['purpose']}",
        to=mail["to"],
        locale=mail["locale"],
        user_id=UserId(UUID(str(mail["user_id"]))),
        org_id=None,
        fields={"url": mail["url"]},
        expires_at=datetime.fromisoformat(str(mail["expires_at"])),
    )
    await client(EmailCalls).send([letter])
    async with write(caller) as tx:
        await store.update_handed_over(tx, mail_id)
