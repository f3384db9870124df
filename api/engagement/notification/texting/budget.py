"""What text messages may cost: so many segments for an organization in a month, counted before they are sent.

Who dies between counting and sending has counted too many, never too few.
"""

from datetime import date, datetime

from api.engagement.notification.offers import TEXT_SEGMENTS
from api.engagement.notification.texting import store
from cluster.base.ids import OrgId
from cluster.base.principal import platform
from cluster.data import write
from cluster.people.org_settings import setting

Cost = tuple[OrgId | None, int]
"""For whom, and how many segments."""


def month_of(now: datetime) -> date:
    return now.date().replace(day=1)


async def take(costs: list[Cost], month: date) -> list[bool]:
    """Count what each message costs, and return which of them may be sent."""
    most = {org_id: await setting(TEXT_SEGMENTS, org_id) for org_id in {org_id for org_id, _ in costs}}
    granted = [False] * len(costs)
    # In one order, so that two who count for the same organizations do not wait for each other.
    order = sorted(range(len(costs)), key=lambda at: str(costs[at][0]))
    async with write(platform("notification")) as tx:
        for at in order:
            org_id, segments = costs[at]
            granted[at] = await store.upsert_spending(tx, org_id, month, segments, most[org_id])
    return granted


async def give_back(costs: list[Cost], month: date) -> None:
    """Count no more what was not sent."""
    unsent: dict[OrgId | None, int] = {}
    for org_id, segments in costs:
        unsent[org_id] = unsent.get(org_id, 0) + segments
    if unsent:
        async with write(platform("notification")) as tx:
            for org_id in sorted(unsent, key=str):
                await store.update_spending(tx, org_id, month, unsent[org_id])
