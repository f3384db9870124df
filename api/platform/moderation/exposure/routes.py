"""HTTP of exposure."""

from datetime import datetime

from api.platform.moderation.exposure import logic
from cluster.base.ids import OrgId
from cluster.http import Caller, Router, View

router = Router("moderation")


class ExposureView(View):
    """How much of what may harm them the caller was shown today (UTC), and may still be shown.

    Points by severity: 2 counts 1, 3 counts 3, 4 counts 6, 5 counts 10, and 1 is harmless. `severest`: cases up to this severity
    are offered until `until_at`; `break_until`: a break is asked for until then.
    """

    budget: int
    used: int
    severest: int
    until_at: datetime
    break_until: datetime | None


@router.get("/v1/moderation-cases/-/exposure")
async def get_exposure(caller: Caller, organization_id: OrgId | None = None) -> ExposureView:
    """Return how much the caller was shown today, and what the queue still offers them."""
    return ExposureView.of(await logic.own_exposure(caller, organization_id))
