"""Letters with links: kept sealed until somebody sends them; a laptop shows them on a page of its own."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from api.core.auth import identity_store
from api.core.auth.sealing import seal, sha256, unseal
from cluster.base.ids import UserId, new_id
from cluster.base.problems import NotFound
from cluster.base.settings import settings
from cluster.data import Transaction, read

_PURPOSE = "mail"
_LIVES = {"verify": timedelta(days=3), "reset": timedelta(hours=1)}
AN_HOUR = 5
"""Letters of a kind to one person. Whoever asked for more has a working link in the last of them."""
_TEXT = {
    "verify": ("Confirm your e-mail address", "Open this link while you are signed in, and the address is yours:"),
    "reset": ("Choose a new password", "Somebody, we hope you, asked for a new password. This link sets one:"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    id: UUID
    to: str
    subject: str
    text: str
    token: str
    created_at: datetime


async def post(tx: Transaction, user_id: UserId, *, purpose: str, email: str, subject: str) -> bool:
    """Write a letter with a link that works once; older links of the same purpose stop working.

    False, and nothing changes, when this hour has brought as many as it may.
    """
    token = secrets.token_urlsafe(32)
    title, text = _TEXT[purpose]
    # After the #: browsers send that part to no server, so no log has it.
    link = f"{settings().public_url}/{purpose}#{token}"
    letter = {"to": email, "subject": title, "text": f"{text}\n{link}\n", "token": token}
    return await identity_store.insert_link(
        tx,
        sha256(token),
        user_id,
        purpose=purpose,
        email=email,
        subject=subject,
        expires_at=tx.now + _LIVES[purpose],
        mail_id=new_id(),
        sealed=seal(_PURPOSE, orjson.dumps(letter)),
        at_most=AN_HOUR,
    )


async def read_letters(after: UUID | None, limit: int) -> list[Letter]:
    """Return the newest letters, on a laptop that said it wants to see them; elsewhere nobody may, and there is no such page.

    Raises:
        NotFound
    """
    if not settings().local_mail or urlsplit(settings().public_url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise NotFound("no such path; /openapi.json lists them all")
    async with read() as db:
        stored = await identity_store.list_mails(db, after, limit)
    return [
        Letter(id=mail.id, created_at=mail.created_at, **orjson.loads(unseal(_PURPOSE, mail.sealed))) for mail in stored
    ]
