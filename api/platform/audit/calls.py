"""Answers what is found of the trail: organizations' entries of the last 30 days, without the people in them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.platform.audit import store
from api.platform.audit.contract import FOUND_FOR
from api.platform.audit.rules import PERSON, Entry
from cluster.base.ids import OrgId
from cluster.data import read
from cluster.people.documents import Document, Documents, DocumentSource, id_at


class Calls(DocumentSource):
    async def documents(self, kind: str, ids: list[UUID]) -> Documents:  # noqa: ARG002 (there is one kind)
        async with read() as db:
            entries = await store.list_found(db, ids, since=_since())
        return Documents(found=[document_of(entry) for entry in entries])

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:  # noqa: ARG002
        since = _since()
        async with read() as db:
            entries = await store.list_found_page(db, max(after or since, since), limit)
        return [document_of(entry) for entry in entries]


def _since() -> UUID:
    return id_at(datetime.now(UTC) - FOUND_FOR)


def document_of(entry: Entry) -> Document:
    """Return an entry as it is found. An erasure does not reach an index: nobody stands in it, not even by a pseudonym."""
    action = _words(entry.action)
    details = [f"{_words(field)} {value}" for field, value in entry.payload.items() if _is_plain(value)]
    target = [] if entry.target.startswith(PERSON) else [entry.target]
    actor = [f"by {_words(entry.actor_kind)}", *([_words(entry.service)] if entry.service else [])]
    return Document(
        id=entry.id,
        version=1,
        language="en",
        title=action,
        text="\n".join([entry.action, *target, *actor, *details]),
        url=f"/organizations/{entry.chain}/audit?entry={entry.id}",
        seen_with="audit:read",
        org_id=OrgId(entry.chain),
        facets={
            "action": (entry.action,),
            "actor": (entry.actor_kind,),
            "service": (entry.service,) if entry.service else (),
        },
        updated_at=entry.at,
    )


def _words(name: str) -> str:
    return name.replace(".", " ").replace("_", " ").capitalize()


def _is_plain(value: Any) -> bool:
    """Tell whether this is one number or word, and nobody."""
    return isinstance(value, str | int | float) and not (isinstance(value, str) and value.startswith(PERSON))
