"""Purges: delete a lot at a time, so that no statement holds rows for long and a killed job loses one lot at most."""

from collections.abc import Awaitable, Callable

from cluster.jobs.job_run import JobRun


async def in_batches(run: JobRun, delete: Callable[[int], Awaitable[int]], *, limit: int = 1000) -> int:
    """Repeat `delete(limit)`, which returns how many it deleted, until fewer than the limit were left; return the sum.

    Each lot is a transaction of its own, and starts the job's deadline over.

    Raises:
        LeaseLost: somebody else goes on with it.
    """
    deleted = count = await delete(limit)
    while count >= limit:
        await run.extend()
        count = await delete(limit)
        deleted += count
    return deleted
