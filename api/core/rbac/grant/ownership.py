"""Use cases of ownership: find the organizations that a person owns alone, and hand one over."""

from api.core.rbac.contract import BeyondOwnRights, GrantId, SuccessorIsSuspended
from api.core.rbac.grant import store
from api.core.rbac.grant.logic import OWNER, end, insert_grant
from api.core.rbac.grant.store import NewGrant
from api.core.rbac.role.logic import get_grantable
from api.core.rbac.suspension.store import find_suspended_at
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.data import read, write


async def owned_alone(user_id: UserId) -> list[OrgId]:
    """Return the organizations that would have no owner without this person."""
    async with read() as db:
        return await store.list_owned_alone(db, user_id)


async def transfer_ownership(caller: Principal, org_id: OrgId, owner: UserId, successor: UserId) -> None:
    """Make `successor` an owner and `owner` an administrator. Repeating it changes nothing.

    Raises:
        BeyondOwnRights: `owner` is none; a role of the organization's own does not make up for that.
        SuccessorIsSuspended: the grants of the only owner would rest.
    """
    async with write(caller) as tx:
        owners = await store.lock_owners(tx, org_id)
        if owner not in owners:
            if successor in owners:
                return
            raise BeyondOwnRights("only an owner can hand the organization over")
        if await find_suspended_at(tx, org_id, successor) is not None:
            raise SuccessorIsSuspended("reactivate the member first: POST /v1/members/{id}/reactivate")
        for user_id, role in ((successor, OWNER), (owner, "org_admin")):
            new = NewGrant(user_id=user_id, role=role, scope="organization", scope_id=org_id, org_id=org_id)
            await insert_grant(tx, GrantId(new_id()), new, await get_grantable(tx, role, org_id), caller.id)
        owned = await store.find_grant_of(tx, owner, OWNER, "organization", org_id)
        if owned is not None:
            await end(tx, [owned.id], "ended")
