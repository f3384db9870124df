"""Work of gateway for later: tell when maintenance begins and is over, and delete old usage."""

from functools import partial

from api.core.gateway.contract import TurnWindow
from api.core.gateway.maintenance import logic as maintenance
from api.core.gateway.usage import logic as usage
from cluster.jobs import JobRun, cron, in_batches, perform


@perform(TurnWindow)
async def turn_window(run: JobRun, args: TurnWindow) -> None:
    await maintenance.turn_window(run.principal, args.maintenance_window_id, args.to)


@cron("gateway.purge_usage", "19 4 * * *", lane="bulk")
async def purge_usage(run: JobRun) -> None:
    """Delete the usage of hours that are kept no longer."""
    await in_batches(run, partial(usage.purge_usage, run.principal))
    await in_batches(run, partial(usage.purge_usage_of_people, run.principal))
    await in_batches(run, partial(usage.purge_lots, run.principal))
