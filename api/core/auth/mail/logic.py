"""Mails with links: stored sealed until they are sent; a laptop shows them on a page of its own."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from api.core.auth.contract import LinkPurpose
from api.core.auth.mail import store
from api.core.auth.mail.store import Link
from api.core.auth.sealing import seal, sha256, unseal
from cluster.base.ids import UserId, new_id
from cluster.base.problems import NotFound
from cluster.base.settings import settings
from cluster.data import Transaction, read

_SEALING_PURPOSE = "mail"
_LINK_LIFETIMES: dict[LinkPurpose, timedelta] = {"verify": timedelta(days=3), "reset": timedelta(hours=1)}
MAX_MAILS_PER_HOUR = 5
"""Of one purpose, to one person. The link in the last of them keeps working."""
_TEXTS: dict[LinkPurpose, tuple[str, str]] = {
    "verify": ("Confirm your e-mail address", "Open this link while you are signed in, and the address is yours:"),
    "reset": ("Choose a new password", "Somebody, we hope you, asked for a new password. This link sets one:"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    id: UUID
    to: str
    subject: str
    text: str
    token: str
    created_at: datetime


async def post(tx: Transaction, user_id: UserId, *, purpose: LinkPurpose, email: str, subject: str) -> bool:
    """Write a mail with a link that works once; older links of the same purpose stop working.

    Return False, and change nothing, when the person got `MAX_MAILS_PER_HOUR` of them within the hour.
    """
    token = secrets.token_urlsafe(32)
    title, text = _TEXTS[purpose]
    # Behind the #: browsers do not send that part, so that it gets into no log.
    url = f"{settings().public_url}/{purpose}#{token}"
    mail = {"to": email, "subject": title, "text": f"{text}\n{url}\n", "token": token}
    link = Link(
        token_sha256=sha256(token),
        user_id=user_id,
        purpose=purpose,
        email=email,
        subject=subject,
        expires_at=tx.now + _LINK_LIFETIMES[purpose],
        used_at=None,
    )
    sealed = seal(_SEALING_PURPOSE, orjson.dumps(mail))
    return await store.insert_link(tx, link, mail_id=new_id(), sealed=sealed, max_per_hour=MAX_MAILS_PER_HOUR)


async def list_mails(before: UUID | None, limit: int) -> list[Mail]:
    """List the newest mails, on a laptop whose settings allow it; everywhere else there is no such page.

    Raises:
        NotFound
    """
    if not settings().local_mail or urlsplit(settings().public_url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise NotFound("no such path; /openapi.json lists them all")
    async with read() as db:
        stored = await store.list_mails(db, before, limit)
    return [
        Mail(id=mail.id, created_at=mail.created_at, **orjson.loads(unseal(_SEALING_PURPOSE, mail.sealed)))
        for mail in stored
    ]
