"""Work of gateway for later: tell when maintenance begins and is over."""

from api.core.gateway.contract import TurnWindow
from api.core.gateway.maintenance import logic as maintenance
from cluster.jobs import JobRun, perform


@perform(TurnWindow)
async def turn_window(run: JobRun, args: TurnWindow) -> None:
    await maintenance.turn_window(run.principal, args.maintenance_window_id, args.to)
