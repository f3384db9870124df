"""The SQL of mailed links and of the mails with them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.core.auth.contract import LinkPurpose
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    token_sha256: bytes
    user_id: UserId
    purpose: LinkPurpose
    email: str
    subject: str
    expires_at: datetime
    used_at: datetime | None


# A new link replaces the older ones of its purpose: only the link of the last mail works. Beyond the limit of an hour the last one
# stays. Concurrent transactions may pass the limit by one or two, which does no harm: it only keeps a mailbox usable.
INSERT_LINK = """
WITH allowed AS (
    SELECT WHERE $max_per_hour::int > (
        SELECT count(*) FROM auth.mails
        WHERE user_id = $user_id AND purpose = $purpose AND created_at > $now::timestamptz - interval '1 hour')
), mail AS (
    INSERT INTO auth.mails (id, user_id, purpose, sealed, created_at)
    SELECT $mail_id::uuid, $user_id::uuid, $purpose, $sealed::bytea, $now FROM allowed
), older AS (
    DELETE FROM auth.mail_tokens
    WHERE user_id = $user_id AND purpose = $purpose AND used_at IS NULL AND EXISTS (SELECT FROM allowed)
)
INSERT INTO auth.mail_tokens (token_sha256, user_id, purpose, email, subject, created_at, expires_at)
SELECT $token_sha256::bytea, $user_id, $purpose::text, $email::text, $subject::text, $now, $expires_at::timestamptz FROM allowed
"""


async def insert_link(tx: Transaction, link: Link, *, mail_id: UUID, sealed: bytes, max_per_hour: int) -> bool:
    """Insert a link and its mail; False when the person got `max_per_hour` mails of this purpose within the hour."""
    return await tx.run(INSERT_LINK, link, mail_id=mail_id, sealed=sealed, max_per_hour=max_per_hour) == 1


DELETE_LINKS = "DELETE FROM auth.mail_tokens WHERE user_id = $user_id AND purpose = $purpose AND used_at IS NULL"


async def delete_links(tx: Transaction, user_id: UserId, purpose: LinkPurpose) -> None:
    """Delete the unused links of a purpose, so that none works any more."""
    await tx.run(DELETE_LINKS, user_id=user_id, purpose=purpose)


FIND_LINK = """
SELECT token_sha256, user_id, purpose, email, subject, expires_at, used_at
FROM auth.mail_tokens WHERE token_sha256 = $token_sha256
"""


async def find_link(db: Connection, token_sha256: bytes) -> Link | None:
    return await db.maybe(Link, FIND_LINK, token_sha256=token_sha256)


LOCK_LINK = FIND_LINK + " FOR UPDATE"


async def lock_link(tx: Transaction, token_sha256: bytes) -> Link | None:
    return await tx.maybe(Link, LOCK_LINK, token_sha256=token_sha256)


UPDATE_USED = "UPDATE auth.mail_tokens SET used_at = $now WHERE token_sha256 = $token_sha256"


async def update_used(tx: Transaction, link: Link) -> None:
    """Record that a link is used: it works once."""
    await tx.run(UPDATE_USED, link)


FIND_SEALED = "SELECT sealed FROM auth.mails WHERE id = $mail_id AND sealed <> ''"


async def find_sealed(db: Connection, mail_id: UUID) -> bytes | None:
    """Find a letter that was not handed over yet."""
    return await db.value(FIND_SEALED, mail_id=mail_id)


UPDATE_HANDED_OVER = "UPDATE auth.mails SET sealed = '' WHERE id = $mail_id"


async def update_handed_over(tx: Transaction, mail_id: UUID) -> None:
    """Forget the letter. Its row stays for a day: it counts the letters of an hour."""
    await tx.run(UPDATE_HANDED_OVER, mail_id=mail_id)
