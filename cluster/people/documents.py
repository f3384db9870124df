"""What search finds: documents that services offer, and the rights that finding one needs.

A service offers a `SearchDocument` and answers `DocumentSource` from its own tables. search hears the events that the offer names,
fetches the documents and keeps them; a service never calls search.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.people.access import Reach


def id_at(at: datetime) -> UUID:
    """Return an id that is below those made from this moment on (RFC 9562, section 5.7), and above those before."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDocument:
    """An offer: a kind of document that people find."""

    kind: str
    """`course`, `lesson`: in addresses and facets."""
    title: str
    permissions: tuple[str, ...]
    """Those that a document of this kind may name in `seen_with`."""
    events: Mapping[type, str]
    """Events that make documents new, and the field of the event with a document's id, or with those of several."""
    facets: tuple[str, ...] = ()
    """Names of the fields in `Document.facets` that are counted and filtered by."""
    verified: bool = False
    """The source is asked once more, by `may_see`, for those that a page would show: rights alone do not decide it."""
    verified_with: tuple[str, ...] = ()
    """Permissions of which `may_see` is told where the person holds them, besides those above."""
    followed: bool = False
    """No event tells of them: new ones are read by `document_page` every minute, where they are in nobody's way. For what comes in
    great numbers, in the order of its ids, and never changes."""
    kept: timedelta | None = None
    """Documents that were last changed longer ago are taken out of the index every day; `document_page` begins behind them."""
    named_only: bool = False
    """Found by those alone who ask for this kind, so that it stands in no other's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as it is now. A later version replaces it, an earlier one is ignored."""

    id: UUID
    version: int
    language: str
    """BCP 47."""
    title: str
    text: str
    """Plain text, at most 1 MiB."""
    url: str
    """Where the web app shows it, from the root: `/courses/<id>`."""
    seen_with: str
    """The permission that finding it needs, at the place below."""
    org_id: OrgId | None = None
    course_id: UUID | None = None
    run_ids: tuple[UUID, ...] = ()
    owner_id: UserId | None = None
    path: tuple[str, ...] = ()
    """Titles of what it stands in, the outermost first: shown, and found by."""
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A document that nobody finds any more: deleted, or not published."""

    id: UUID
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What a source says of some documents; what never existed is in neither list."""

    found: list[Document]
    gone: list[Gone] = field(default_factory=list[Gone])


class DocumentSource(Protocol):
    """A leaf: answered by services that offer documents, from their own tables."""

    async def documents(self, kind: str, ids: list[UUID]) -> Documents:
        """Return these documents as they are now. At most 200 ids."""
        ...

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:
        """Return the documents of this kind after this id, by id: to build an index from nothing."""
        ...

    async def may_see(
        self,
        kind: str,  # noqa: ARG002
        user_id: UserId,  # noqa: ARG002
        ids: list[UUID],
        reaches: dict[str, Reach] | None = None,  # noqa: ARG002
    ) -> list[UUID]:
        """Return those of these documents that the person may see now. Asked for `verified` kinds alone.

        `reaches`: where the person holds each permission that the offer names; None: a host of an older release asks.
        """
        return ids
