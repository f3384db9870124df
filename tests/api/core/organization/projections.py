"""Old news of organization's own state; see `tests.platform.projections`."""

from dataclasses import replace

from api.core.organization.contract import MemberUpdated, OrganizationUpdated
from tests.platform.projections import OldNews

OLD_NEWS: OldNews = {
    MemberUpdated: lambda now: replace(now, state="suspended"),
    OrganizationUpdated: lambda now: replace(now, state="suspended"),
}
