"""A kind of documents whose source is a dictionary, so that tests decide what it says and when."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from api.analytics.search import store
from api.analytics.search.contract import IndexMarked
from api.analytics.search.kinds import Kind, kinds
from cluster.base.ids import UserId, new_id
from cluster.base.principal import platform
from cluster.data import write
from cluster.jobs import enqueue
from cluster.people.access import Reach
from cluster.people.documents import Document, Documents, Gone, SearchDocument

PLATFORM = platform("search")


@dataclass
class Probe:
    """Stands for a service and its offer."""

    offer: SearchDocument
    service: str = "probe"
    kept: dict[UUID, Document | Gone] = field(default_factory=dict[UUID, Document | Gone])
    hidden: set[UUID] = field(default_factory=set[UUID])
    """What `may_see` refuses to everybody."""
    pause: asyncio.Event | None = None
    """Awaited before each page but the first."""

    @property
    def source(self) -> "Probe":
        return self

    async def documents(self, kind: str, ids: list[UUID]) -> Documents:
        told = [self.kept[id] for id in ids if id in self.kept]
        return Documents(
            found=[each for each in told if isinstance(each, Document)],
            gone=[each for each in told if isinstance(each, Gone)],
        )

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:
        if after is not None and self.pause is not None:
            await self.pause.wait()
        there = sorted((each for each in self.kept.values() if isinstance(each, Document)), key=lambda each: each.id)
        return [each for each in there if after is None or each.id > after][:limit]

    async def may_see(
        self, kind: str, user_id: UserId, ids: list[UUID], reaches: dict[str, Reach] | None = None
    ) -> list[UUID]:
        return [id for id in ids if id not in self.hidden]

    def put(self, title: str, text: str = "", *, id: UUID | None = None, **fields: Any) -> Document:
        """Keep a document, as the next version of one that is there; it is marked by `mark`."""
        id = id or new_id()
        version = self.kept[id].version + 1 if id in self.kept else 1
        document = replace(
            Document(
                id=id,
                version=version,
                language="en",
                title=title,
                text=text,
                url=f"/{self.offer.kind}/{id}",
                seen_with="catalog:read",
                updated_at=datetime(2031, 5, 4, tzinfo=UTC),
            ),
            **fields,
        )
        self.kept[id] = document
        return document

    def drop(self, document: Document) -> None:
        self.kept[document.id] = Gone(id=document.id, version=self.kept[document.id].version + 1)

    async def mark(self, *documents: Document) -> None:
        """Tell search that these changed, as its handlers do; without any, all."""
        async with write(PLATFORM) as tx:
            await store.upsert_marks(tx, self.offer.kind, [each.id for each in documents] or list(self.kept))
            enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())

    def renewed(self, document: Document, **fields: Any) -> Document:
        """Keep the next version of a document."""
        newer = replace(document, version=self.kept[document.id].version + 1, **fields)
        self.kept[document.id] = newer
        return newer


@contextmanager
def offered(kind: str, **options: Any) -> Generator[Probe]:
    """Offer documents of one more kind."""
    offer: Any = {"title": kind, "permissions": ("catalog:read",), "events": {}, **options}
    probe = Probe(SearchDocument(kind=kind, **offer))
    kinds()[kind] = cast(Kind, probe)
    try:
        yield probe
    finally:
        del kinds()[kind]
