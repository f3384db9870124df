"""Durable work: mail links to new passwords, make signing keys ahead, and delete old rows."""

from datetime import UTC, datetime

from api.core.auth import store
from api.core.auth.contract import MailLink, MailReset
from api.core.auth.identity import logic as identities
from api.core.auth.mail import logic as mails
from api.core.auth.signing_key import logic as signing_keys
from cluster.data import write
from cluster.jobs import JobRun, cron, in_batches, perform
from cluster.people import identity


@perform(MailReset)
async def mail_reset(run: JobRun, args: MailReset) -> None:
    await identities.mail_reset(args.sealed, args.locale)


@perform(MailLink)
async def mail_link(run: JobRun, args: MailLink) -> None:
    await mails.hand_over(run.principal, args.mail_id)


@cron("auth.rotate_keys", "7 * * * *")
async def rotate_keys(run: JobRun) -> None:
    """Make the next signing key in time."""
    await signing_keys.rotate(now=datetime.now(UTC))


@cron("auth.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete ended sessions, expired links, old mails and throttles, and revocations that no token needs."""
    async with write(run.principal) as tx:
        await identity.purge(tx)

    async def delete(limit: int) -> int:
        async with write(run.principal) as tx:
            return await store.delete_expired(tx, limit)

    await in_batches(run, delete, limit=5000)
