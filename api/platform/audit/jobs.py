"""Durable work of audit: chain entries, and write checkpoints of the ends of chains."""

from api.platform.audit import checkpoints, logic
from api.platform.audit.contract import SHARDS, Seal
from cluster.data import write
from cluster.jobs import JobRun, cron, enqueue, perform


@perform(Seal)
async def seal(run: JobRun, args: Seal) -> None:
    await logic.seal(run.principal, args.shard)


@cron("audit.sweep", "*/5 * * * *")
async def sweep(run: JobRun) -> None:
    """Seal entries that a dead job left unsealed."""
    async with write(run.principal) as tx:
        for shard in range(SHARDS):
            enqueue(tx, Seal(shard=shard), dedupe=f"audit:seal:{shard}")


@cron("audit.checkpoint", "*/15 * * * *")
async def checkpoint(run: JobRun) -> None:
    """Write checkpoints of chains that have grown."""
    await checkpoints.write_checkpoints(run.principal)
