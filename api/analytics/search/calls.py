"""Answers `SearchCalls`."""

from html import unescape

from api.analytics.search import logic
from api.analytics.search.contract import Named, Passage, SearchCalls
from api.analytics.search.engine.question import Filters
from api.analytics.search.hits import Hit
from cluster.base.ids import OrgId
from cluster.base.principal import Principal

_MOST = 100


class Calls(SearchCalls):
    async def passages(self, caller: Principal, text: str, org_id: OrgId | None, limit: int) -> list[Passage]:
        limit = min(limit, _MOST)
        found = await logic.search(caller, text, Filters(org_id=org_id), only=None, after=None, limit=limit)
        return [_passage(hit) for hit in [*found.pinned, *found.hits][:limit]]

    async def similar(self, caller: Principal, document: Named, limit: int) -> list[Passage]:
        return [_passage(hit) for hit in await logic.similar(caller, document, min(limit, _MOST))]


def _passage(hit: Hit) -> Passage:
    return Passage(
        document=Named(hit.kind, hit.id),
        title=hit.title,
        path=list(hit.path),
        url=hit.url,
        language=hit.language,
        org_id=hit.org_id,
        texts=[unescape(html.replace("<mark>", "").replace("</mark>", "")) for html in hit.passages],
    )
