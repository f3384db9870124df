"""Use cases of suspensions: suspend and resume the grants of a member, or of everybody in an organization."""

from api.core.rbac.grant import rules
from api.core.rbac.grant import store as grants
from api.core.rbac.suspension import store
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import Transaction, write
from cluster.signals.broadcast import announce


async def suspend(caller: Principal, org_id: OrgId, user_id: UserId | None) -> None:
    """Let the grants of a member, or of everybody, rest.

    Raises:
        LastOwner: the member is the last owner that is left.
    """
    async with write(caller) as tx:
        if user_id is not None:
            rules.check_an_owner_stays(await grants.lock_owners(tx, org_id), user_id)
        if await store.insert_suspension(tx, org_id, user_id):
            await _announce_change(tx, org_id, user_id)


async def resume(caller: Principal, org_id: OrgId, user_id: UserId | None) -> None:
    """Let the grants of a member, or of everybody, count again."""
    async with write(caller) as tx:
        if await store.delete_suspension(tx, org_id, user_id):
            await _announce_change(tx, org_id, user_id)


async def _announce_change(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> None:
    for holder in [user_id] if user_id is not None else await grants.list_holders(tx, org_id=org_id):
        announce(tx, "access", {"user_id": str(holder)})
