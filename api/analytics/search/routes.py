"""HTTP of search."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, Field

from api.analytics.search import logic
from api.analytics.search.contract import BuildsAlready, FacetUnknown, KindNotFound, KindUnknown, Named, NothingAsked
from api.analytics.search.engine.question import Filters
from api.analytics.search.pin.routes import LANGUAGE
from api.analytics.search.pin.routes import router as pins
from api.analytics.search.statistic import logic as statistic
from api.analytics.search.statistic.routes import router as statistics
from cluster import http
from cluster.base.ids import OrgId
from cluster.http import Caller, Paging, Router, Several, View, once

router = Router("search")
router.include_router(pins)
router.include_router(statistics)

Text = Annotated[
    str,
    Query(
        min_length=1,
        max_length=10_000,
        description='Words, a `"phrase"` that must be there, `-words` that must not. Nothing else has a meaning.',
        examples=['linear algebra -"part two"'],
    ),
]
Language = Annotated[str | None, Query(pattern=LANGUAGE, max_length=35, description="BCP 47", examples=["de"])]
Facet = Annotated[
    list[Annotated[str, Field(pattern=r"^[a-z_]{1,40}:.{1,256}$")]] | None,
    Query(max_length=20, description="`<facet>:<value>`; several values of one facet: any of them."),
]
KindName = Annotated[str, Field(max_length=40)]


class HitView(View):
    """Something that was found."""

    kind: str
    id: UUID
    title: str
    title_html: Annotated[str, Field(description="The title as HTML, what was asked for in `<mark>`.")]
    passages: Annotated[list[str], Field(description="Parts of the text as HTML, what was asked for in `<mark>`.")]
    path: Annotated[list[str], Field(description="Titles of what it stands in, the outermost first.")]
    url: Annotated[str, Field(description="Where the web app shows it.")]
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    language: str
    facets: dict[str, list[str]]
    updated_at: datetime
    pinned: Annotated[bool, Field(description="The organization put it on top of this question's answers.")] = False


class CountView(View):
    value: str
    documents: int


class Results(BaseModel):
    """One page of what was found. `facets` and `did_you_mean` come with the first page alone; at most three pinned documents
    stand on top of it, beside its limit."""

    items: list[HitView]
    next_cursor: str | None
    facets: dict[str, list[CountView]]
    did_you_mean: str | None
    answer_id: Annotated[
        str | None,
        Field(description="For `POST /v1/search/-/clicks`, within an hour; null: this page is not counted."),
    ] = None


class SuggestionView(View):
    """A title that begins like what was typed, or one that was pinned."""

    kind: str
    id: UUID
    title: str
    url: str
    pinned: Annotated[bool, Field(description="The organization pinned it for what was typed.")] = False


class Suggestions(BaseModel):
    items: list[SuggestionView]


class IndexView(View):
    """An index of one kind of documents. `live` is the one that answers, `retiring` the one before."""

    kind: str
    number: int
    state: str
    documents: Annotated[int, Field(description="How many it had when it was built.")]
    created_at: datetime
    moved_at: datetime


class Indexes(BaseModel):
    items: list[IndexView]


@router.get("/v1/search", public=True, cost=3, raises=(KindUnknown, FacetUnknown, NothingAsked))
async def search(
    caller: Caller,
    paging: Paging,
    q: Text,
    kind: Several[KindName] = None,
    organization_id: OrgId | None = None,
    language: Language = None,
    facet: Facet = None,
    reads: http.Language = None,
) -> Results:
    """Find what the caller may see, the best first; typos are forgiven."""
    after = paging.after(
        float, UUID, int, sort="score", q=q, kind=kind, org=organization_id, language=language, facet=facet
    )
    found = await logic.search(
        caller,
        q,
        Filters(org_id=organization_id, language=language, facets=_values(facet)),
        only=kind,
        after=logic.After(*after) if after else None,
        limit=paging.rows,
        reads=reads,
    )
    page = paging.page(found.hits, key=lambda hit: (hit.score, hit.id, found.forgiven), render=HitView.of)
    facets = {name: [CountView.of(count) for count in counts] for name, counts in found.facets.items()}
    items = [*map(HitView.of, found.pinned), *page.items]
    answer_id = None
    # What a filter leaves out was not asked in vain.
    if after is None and kind is None and not facet:
        shown = [Named(item.kind, item.id) for item in items]
        answer_id = await statistic.note(caller, organization_id or caller.bound_org, q, language or reads, shown)
    return Results(
        items=items,
        next_cursor=page.next_cursor,
        facets=facets,
        did_you_mean=found.did_you_mean,
        answer_id=answer_id,
    )


@router.get("/v1/search/-/suggest", public=True, raises=(KindUnknown, NothingAsked))
async def suggest(
    caller: Caller,
    q: Annotated[str, Query(min_length=1, max_length=200, description="What was typed so far.")],
    kind: Several[KindName] = None,
    organization_id: OrgId | None = None,
    limit: Annotated[int, Query(ge=1, le=20)] = 10,
    reads: http.Language = None,
) -> Suggestions:
    """Suggest titles that the caller may see; first what the organization pinned for questions that begin like this."""
    hits = await logic.suggest(caller, q, Filters(org_id=organization_id), only=kind, limit=limit, reads=reads)
    return Suggestions(items=[SuggestionView.of(hit) for hit in hits])


@router.get("/v1/search/{kind}/indexes", raises=(KindNotFound,))
async def list_indexes(caller: Caller, kind: KindName) -> Indexes:
    """List the indexes of one kind of documents, for operators."""
    return Indexes(items=[IndexView.of(each) for each in await logic.list_indexes(caller, kind)])


@router.post("/v1/search/{kind}/rebuild", raises=(KindNotFound, BuildsAlready))
async def rebuild(caller: Caller, kind: KindName, response: Response) -> Indexes:
    """Build the index of one kind of documents anew, beside the one that answers until the new one is full."""

    async def work() -> list[logic.Generation]:
        return [await logic.rebuild(caller, kind)]

    async def again(_: UUID) -> list[logic.Generation]:
        return await logic.list_indexes(caller, kind)

    return Indexes(items=[IndexView.of(each) for each in await once(response, work(), again)])


def _values(facets: list[str] | None) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for facet in facets or ():
        name, _, value = facet.partition(":")
        found[name] = (*found.get(name, ()), value)
    return found
