"""How the users of a thing are shown: `GET .../uses`."""

from uuid import UUID

from pydantic import BaseModel

from cluster.base.ids import OrgId
from cluster.data.uses import UsedBy


class UseView(BaseModel):
    """Something that uses the thing, and where it is."""

    kind: str
    id: UUID
    organization_id: OrgId | None
    course_id: UUID | None


class UsesView(BaseModel):
    """What uses a thing: at most 100 of those that the caller may see, and the count of all others."""

    items: list[UseView]
    others: int

    @staticmethod
    def of(users: UsedBy) -> "UsesView":
        items = [
            UseView(kind=use.kind, id=use.id, organization_id=use.org_id, course_id=use.course_id)
            for use in users.shown
        ]
        return UsesView(items=items, others=users.others)
