"""HTTP of the catalogue: published courses, facets and categories. A token is not needed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response
from pydantic import Field

from api.learning.course.catalog import logic
from api.learning.course.catalog.kept import LISTS
from api.learning.course.catalog.store import Filters, Listing
from api.learning.course.contract import CourseId, CourseNotFound, Visibility
from api.learning.course.run.view import ListedRun
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.http import AnswersOfShown, Caller, OrganizationId, Page, Paging, Router, Several, View, reach_of_answer
from cluster.people.access import Reach

router = Router("course")

ReachOfAnswer = Annotated[Reach, Depends(reach_of_answer)]
Category = Annotated[str | None, Query(max_length=40, description="Slug of a category: GET /v1/catalog/-/categories")]
Tag = Annotated[str | None, Query(max_length=40)]
Language = Annotated[str | None, Query(max_length=35, description="BCP 47")]


class ListingView(View):
    """A published course."""

    id: Annotated[CourseId, Field(validation_alias="course_id")]
    organization_id: OrganizationId
    revision: int
    slug: str
    title: str
    summary: str
    language: str
    categories: list[str]
    tags: list[str]
    visibility: Visibility
    learners: int
    published_at: datetime
    runs: list[ListedRun]


class FacetView(View):
    """The number of courses in the filtered catalogue that have a value."""

    value: str
    courses: int


class CategoryView(View):
    slug: str
    title: str


class FacetsView(View):
    categories: list[FacetView]
    tags: list[FacetView]
    languages: list[FacetView]


@router.get("/v1/catalog", public=True, kept=LISTS)
async def list_catalog(
    caller: Caller,
    reach: ReachOfAnswer,
    paging: Paging,
    response: Response,
    organization_id: OrgId | None = None,
    category: Category = None,
    tag: Tag = None,
    language: Language = None,
    id: Several[CourseId] = None,
) -> Page[ListingView]:
    """List published courses, newest first."""
    filters = Filters(org_id=organization_id, category=category, tag=tag, language=language)
    after = paging.after(org=organization_id, category=category, tag=tag, language=language, id=id)
    listings = await logic.list_listings(
        reach,
        filters,
        ids=id,
        before=CourseId(after[0]) if after else None,
        limit=paging.rows,
    )
    _cache(caller, response)
    return paging.page(listings, key=lambda listing: listing.course_id, render=ListingView.of)


@router.get("/v1/catalog/-/facets", public=True, kept=LISTS)
async def list_facets(
    caller: Caller,
    reach: ReachOfAnswer,
    response: Response,
    organization_id: OrgId | None = None,
    category: Category = None,
    tag: Tag = None,
    language: Language = None,
) -> FacetsView:
    """Count the courses of the filtered catalogue by category, tag and language."""
    facets = await logic.list_facets(
        reach, Filters(org_id=organization_id, category=category, tag=tag, language=language)
    )
    _cache(caller, response)
    by_field: dict[str, list[FacetView]] = {"category": [], "tag": [], "language": []}
    for facet in facets:
        by_field[facet.field].append(FacetView.of(facet))
    return FacetsView(categories=by_field["category"], tags=by_field["tag"], languages=by_field["language"])


@router.get("/v1/catalog/-/categories", public=True, kept=LISTS)
async def list_categories(response: Response) -> list[CategoryView]:
    """List the categories of the catalogue, in their display order."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return [CategoryView.of(category) for category in await logic.list_categories()]


async def _shown(caller: Principal, path: Mapping[str, str]) -> Listing | None:
    try:
        course_id = CourseId(UUID(path["course_id"]))
    except ValueError:
        return None
    return await logic.get_listing(caller, course_id)


LISTINGS = AnswersOfShown("course.listings", shown=_shown)


@router.get("/v1/catalog/{course_id}", public=True, kept=LISTINGS, raises=(CourseNotFound,))
async def get_listing(caller: Caller, course_id: CourseId, response: Response) -> ListingView:
    """Return a published course with its runs."""
    listing = await logic.get_listing(caller, course_id)
    _cache(caller, response)
    return ListingView.of(listing)


def _cache(caller: Caller, response: Response) -> None:
    # A second is short enough for "in the catalogue within 2 s of publishing" and long enough to shield us from a crowd.
    response.headers["Cache-Control"] = "public, max-age=1" if caller.kind == "guest" else "private, no-cache"
    response.headers["Vary"] = "Authorization"
