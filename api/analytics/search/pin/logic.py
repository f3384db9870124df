"""Use cases of pins."""

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
    query = kept.normal(read_question(text))
    if not query:
        raise NothingAsked("ask for a word, and leave none out", pointer="/q")
    documents = list(dict.fromkeys(documents))
    found = {Named(hit.kind, hit.id) for hit in await shown(caller, documents, org_id)}
    for number, document in enumerate(documents):
        if document not in found:
            raise DocumentUnknown(
                f"you find no {document.kind} {document.id} of this organization", pointer=f"/documents/{number}"
            )
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
            raise PinExists("delete it first", pointer="/q")
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


async def delete_pin(caller: Principal, pin_id: PinId) -> None:
    """Let a question have the answers again that fit it best.

    Raises:
        PinNotFound
    """
    pin = await get_pin(caller, pin_id)
    async with write(caller) as tx:
        kept.drop(tx, pin.org_id)
        await store.delete_pin(tx, pin_id)
