"""What was found, as the engine answers it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.analytics.search.engine.form import field_of
from cluster.base.ids import OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A document that somebody may see. `title_html` and `passages` are HTML with <mark> around what was asked for."""

    kind: str
    id: UUID
    title: str
    title_html: str
    passages: tuple[str, ...]
    path: tuple[str, ...]
    url: str
    org_id: OrgId | None
    language: str
    updated_at: datetime
    facets: dict[str, list[str]]
    score: float
    matched: frozenset[str]
    pinned: bool = False
    """The organization put it on top."""


def hit_of(hit: Mapping[str, Any]) -> Hit:
    """Read a hit of the engine's answer."""
    source, marked = hit["_source"], hit.get("highlight", {})
    title = source["title"]
    titles = [*marked.get("title", ()), *marked.get(field_of("title", source["language"]), ())]
    return Hit(
        kind=source["kind"],
        id=UUID(source["id"]),
        title=title,
        # One is marked where words stand as they were asked, the other in every form that the language gives them.
        title_html=max(titles, key=lambda html: html.count("<mark>"), default=_escaped(title)),
        passages=tuple(marked.get(field_of("text", source["language"]), ())),
        path=tuple(source["path"]),
        url=source["url"],
        org_id=OrgId(UUID(source["org_id"])) if source["org_id"] else None,
        language=source["language"],
        updated_at=datetime.fromisoformat(source["updated_at"]),
        facets=source["facets"],
        score=hit["sort"][0],
        matched=frozenset(hit.get("matched_queries", ())),
    )


def _escaped(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text
