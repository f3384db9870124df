"""Use cases of the catalogue: it is open to everybody; courses for an organization's members only to them."""

from api.learning.course.catalog import kept, store
from api.learning.course.catalog.store import Category, Facet, Filters, Listing
from api.learning.course.contract import CourseId, CourseNotFound
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Unauthorized
from cluster.data import read
from cluster.people.access import Reach, permit


async def get_listing(caller: Principal, course_id: CourseId) -> Listing:
    guarded = await kept.find_listing(course_id)
    permission = guarded.see if guarded is not None and guarded.see is not None else "catalog:read"
    try:
        return await permit(caller, permission, guarded, missing=CourseNotFound)
    except Unauthorized:
        # A guest is told of what is for members only what they are told of what does not exist.
        raise CourseNotFound from None


async def list_listings(
    reach: Reach, filters: Filters, *, ids: list[CourseId] | None, before: CourseId | None, limit: int
) -> list[Listing]:
    """List what is public, and what members of the organizations in `reach` may see."""
    async with read() as db:
        return await store.list_listings(db, _organizations(reach), filters, ids=ids, before=before, limit=limit)


async def list_facets(reach: Reach, filters: Filters) -> list[Facet]:
    async with read() as db:
        return await store.list_facets(db, _organizations(reach), filters)


async def list_categories() -> list[Category]:
    async with read() as db:
        return await store.list_categories(db)


def _organizations(reach: Reach) -> tuple[OrgId, ...]:
    return tuple(OrgId(org_id) for org_id in reach.org_ids)
