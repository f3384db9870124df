"""Durable work: copy addresses from auth, delete sign-ups that broke off, and work on privacy requests."""

from datetime import UTC, datetime, timedelta

from api.core.auth.contract import AuthCalls
from api.core.user import logic, store
from api.core.user.contract import CopyAddress, PackExport, StartErasure
from api.core.user.privacy_request import archive
from api.core.user.privacy_request import logic as privacy_requests
from cluster.base.ids import UserId
from cluster.data import read, write
from cluster.jobs import JobRun, cron, perform
from cluster.people.calls import client

_ABANDONED_AFTER = timedelta(days=1)
_PEOPLE_PER_BATCH = 500


@perform(CopyAddress)
async def copy_address(run: JobRun, args: CopyAddress) -> None:
    await logic.copy_address(run.principal, args.user_id)


@cron("user.clear_broken_sign_ups", "41 2 * * *", lane="bulk")
async def clear_broken_sign_ups(run: JobRun) -> None:
    """Release the identities of sign-ups that nobody finished: they are personal data without an account."""
    until = datetime.now(UTC) - _ABANDONED_AFTER
    after: UserId | None = None
    while people := await client(AuthCalls).list_identities(after, until, _PEOPLE_PER_BATCH):
        after = people[-1]
        async with read() as db:
            known = await store.list_active(db, people)
        for user_id in people:
            if user_id not in known:
                async with write(run.principal) as tx:
                    abandoned = await store.upsert_abandoned(tx, user_id)
                if abandoned:
                    await client(AuthCalls).release_identity(user_id)
        await run.extend()


@perform(StartErasure)
async def start_erasure(run: JobRun, args: StartErasure) -> None:
    await privacy_requests.start(run.principal, args.request_id)


@perform(PackExport)
async def pack_export(run: JobRun, args: PackExport) -> None:
    await archive.pack(run, args.request_id)


@cron("user.delete_old_exports", "51 3 * * *")
async def delete_old_exports(run: JobRun) -> None:
    """Delete archives whose time to be downloaded is over."""
    await archive.delete_old()
