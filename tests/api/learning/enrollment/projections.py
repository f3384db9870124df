"""What enrollment copies of the state of others, and old news of its own; see `tests.platform.projections`."""

from dataclasses import replace

from api.learning.enrollment.contract import EnrollmentChanged
from tests.platform.projections import OldNews

COPIED = {
    "members": "SELECT user_id, shut_out FROM enrollment.members WHERE org_id = $1",
    "organizations": "SELECT suspended FROM enrollment.organizations WHERE org_id = $1",
}
FORGET = (
    "DELETE FROM enrollment.members WHERE org_id = $1",
    "DELETE FROM enrollment.organizations WHERE org_id = $1",
)
OLD_NEWS: OldNews = {
    EnrollmentChanged: lambda now: replace(now, state="active" if now.state == "cancelled" else "cancelled")
}
