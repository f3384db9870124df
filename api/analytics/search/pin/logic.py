"""Use cases of pins."""

from dataclasses import dataclass, replace

from api.analytics.search.contract import (
    DocumentUnknown,
    Named,
    NothingAsked,
    PinExists,
    PinId,
    PinNotFound,
    TooManyPins,
)
from api.analytics.search.engine.words import read_question
from api.analytics.search.logic import shown
from api.analytics.search.pin import kept, store
from api.analytics.search.pin.store import Pin
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import read, write
from cluster.people.access import permit, permitted, within

MAX_PINS = 500
"""Of an organization: every process that answers for it holds them."""


async def create_pin(caller: Principal, org_id: OrgId, text: str, language: str | None, documents: list[Named]) -> Pin:
    """Put documents of an organization on top of the answers to a question.

    Raises:
        NothingAsked, DocumentUnknown, PinExists, TooManyPins
        Unavailable: OpenSearch does not answer, so that nobody knows whether there are such documents.
    """
    await permit(caller, "search:pin", within(org_id=org_id))
    query = _query(text)
    documents = await _found(caller, documents, org_id)
    pin_id = PinId(new_id())
    async with write(caller, result=pin_id, status=201) as tx:
        await tx.take_turns("search.pins", org_id)
        kept.drop(tx, org_id)
        pin = await store.insert_pin(
            tx,
            Pin(
                id=pin_id,
                org_id=org_id,
                query=query,
                language=kept.primary(language),
                kinds=[each.kind for each in documents],
                document_ids=[each.id for each in documents],
                created_at=tx.now,
            ),
        )
        if pin is None:
            raise PinExists("change it, or delete it first", pointer="/q")
        if await store.count_pins(tx, org_id) > MAX_PINS:
            raise TooManyPins(f"there are {MAX_PINS}: delete one first")
    return pin


async def get_pin(caller: Principal, pin_id: PinId) -> Pin:
    """Return a pin.

    Raises:
        PinNotFound
    """
    return await permitted(caller, "search:pin", store.find_pin, pin_id, missing=PinNotFound)


async def list_pins(caller: Principal, org_id: OrgId) -> list[Pin]:
    """List the pins of an organization."""
    await permit(caller, "search:pin", within(org_id=org_id))
    async with read() as db:
        return await store.list_pins(db, org_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an editor changes of a pin; without a value it stays."""

    q: str | None = None
    language: tuple[str | None] | None = None
    """The other language; (None,): for all who have none."""
    documents: list[Named] | None = None


async def change_pin(caller: Principal, pin_id: PinId, changes: Changes, expected_version: int) -> Pin:
    """Change the question, the language or the documents of a pin. What changes nothing makes no version.

    Raises:
        PinNotFound, NothingAsked, DocumentUnknown, PinExists
        Stale: somebody else changed it first.
        Unavailable: OpenSearch does not answer, so that nobody knows whether there are such documents.
    """
    pin = await get_pin(caller, pin_id)
    query = None if changes.q is None else _query(changes.q)
    documents = None if changes.documents is None else await _found(caller, changes.documents, pin.org_id)
    async with write(caller, result=pin_id) as tx:
        await tx.take_turns("search.pins", pin.org_id)
        before = await store.lock_pin(tx, pin_id)
        if before is None:
            raise PinNotFound
        if before.version != expected_version:
            raise Stale(before.version)
        documents = before.documents if documents is None else documents
        after = replace(
            before,
            query=before.query if query is None else query,
            language=before.language if changes.language is None else kept.primary(changes.language[0]),
            kinds=[each.kind for each in documents],
            document_ids=[each.id for each in documents],
        )
        if after == before:
            return before
        kept.drop(tx, pin.org_id)
        changed = await store.update_pin(tx, after)
        if changed is None:
            raise PinExists("change that one, or delete it first", pointer="/q")
    return changed


async def delete_pin(caller: Principal, pin_id: PinId) -> None:
    """Let a question have the answers again that fit it best.

    Raises:
        PinNotFound
    """
    pin = await get_pin(caller, pin_id)
    async with write(caller) as tx:
        kept.drop(tx, pin.org_id)
        await store.delete_pin(tx, pin_id)


def _query(text: str) -> str:
    query = kept.normal(read_question(text))
    if not query:
        raise NothingAsked("ask for a word, and leave none out", pointer="/q")
    return query


async def _found(caller: Principal, documents: list[Named], org_id: OrgId) -> list[Named]:
    """Return each of these documents once; all must be the organization's, and found by who pins them."""
    documents = list(dict.fromkeys(documents))
    found = {Named(hit.kind, hit.id) for hit in await shown(caller, documents, org_id)}
    for number, document in enumerate(documents):
        if document not in found:
            raise DocumentUnknown(
                f"you find no {document.kind} {document.id} of this organization", pointer=f"/documents/{number}"
            )
    return documents
