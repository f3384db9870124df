"""Take over where people are members, and tell that what is found of them changed."""

from api.core.organization.contract import MemberUpdated
from api.core.user.contract import PersonDocumentChanged
from api.core.user.membership import store
from cluster.base.ids import UserId
from cluster.data import Transaction
from cluster.events import emit


async def take_over(tx: Transaction, member: MemberUpdated, version: int) -> None:
    """Remember a membership. It is told after it is kept: whoever hears it asks for the document."""
    if await store.upsert_member(tx, member, version):
        await tell_documents(tx, member.user_id)


async def tell_documents(tx: Transaction, user_id: UserId) -> None:
    """Tell of each membership of a person that its document is another now."""
    for member_id, org_id, version in await store.list_memberships(tx, user_id):
        emit(tx, PersonDocumentChanged(member_id=member_id, org_id=org_id), version=version)
