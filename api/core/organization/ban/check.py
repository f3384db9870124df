"""What bans ask of those who let people in, and of those who change owners."""

from api.core.organization.ban import store
from api.core.organization.contract import CarryOutBans, MemberIsBanned
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.jobs import enqueue


async def take_turns(tx: Transaction, org_id: OrgId, user_id: UserId) -> None:
    """Have who joins and who is banned come one after the other: either the ban finds a member, or the member finds the ban."""
    await tx.take_turns(f"organization.bans {org_id}", user_id)


async def refuse_banned(db: Connection, org_id: OrgId, user_id: UserId) -> None:
    """Refuse what would make a banned person an active member.

    Raises:
        MemberIsBanned
    """
    standing = await store.find_standing(db, org_id, user_id)
    if standing.banned and not standing.refused:
        raise MemberIsBanned(
            "a moderator decided so; an appeal may undo it: POST /v1/appeals",
            until=None if standing.until_at is None else standing.until_at.isoformat(),
        )


async def try_again(tx: Transaction, org_id: OrgId) -> None:
    """Carry out the bans that waited for another owner."""
    for user_id in await store.list_refused(tx, org_id):
        enqueue(tx, CarryOutBans(org_id=org_id, user_id=user_id))
