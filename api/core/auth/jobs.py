"""Durable work: letters that must not betray by their time whether an account exists, keys ahead of time, and purging."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

from api.core.auth import identities, keys, store
from api.core.auth.addresses import key_of
from api.core.auth.sealing import seal, unseal
from cluster.base.principal import Principal
from cluster.data import write
from cluster.jobs import JobRun, cron, enqueue, in_batches, job, perform
from cluster.people import identity

_PURPOSE = "reset request"


@job("auth.mail_reset", attempts=5, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class MailReset:
    """`sealed` is the address: jobs are listed to operators, whom it does not concern."""

    sealed: str


async def request_reset(email: str) -> None:
    """Have a link mailed; the request does the same work whether there is an account or not."""
    sealed = base64.b64encode(seal(_PURPOSE, key_of(email).encode())).decode()
    async with write(Principal(kind="guest")) as tx:
        enqueue(tx, MailReset(sealed=sealed))


@perform(MailReset)
async def mail_reset(run: JobRun, args: MailReset) -> None:
    await identities.mail_reset(unseal(_PURPOSE, base64.b64decode(args.sealed)).decode())


@cron("auth.rotate_keys", "7 * * * *")
async def rotate_keys(run: JobRun) -> None:
    """Make the next signing key in time."""
    await keys.rotate(now=datetime.now(UTC))


@cron("auth.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete what is over."""
    async with write(run.principal) as tx:
        await identity.purge(tx)

    async def delete(limit: int) -> int:
        async with write(run.principal) as tx:
            return await store.purge(tx, limit)

    await in_batches(run, delete, limit=5000)
