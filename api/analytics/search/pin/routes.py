"""HTTP of pins."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field

from api.analytics.search.contract import (
    DocumentUnknown,
    Named,
    NothingAsked,
    PinExists,
    PinId,
    PinNotFound,
    TooManyPins,
)
from api.analytics.search.pin import logic
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, OrganizationId, Patch, Router, View

router = Router("search")
LANGUAGE = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"
"""BCP 47, as far as its form goes."""


class PinnedDocument(Body):
    kind: Annotated[str, Field(max_length=40, examples=["course"])]
    id: UUID


Question = Annotated[str, Field(min_length=1, max_length=200, description="The question.", examples=["term dates"])]
OfLanguage = Annotated[
    str | None,
    Field(
        pattern=LANGUAGE,
        max_length=35,
        description="For those who read this one (BCP 47; its region does not count); null: for all who have none.",
        examples=["de"],
    ),
]
Pinned = Annotated[list[PinnedDocument], Field(min_length=1, max_length=3)]


class NewPin(Body):
    """Documents of the organization for a question, the first on top."""

    organization_id: OrgId
    q: Question
    language: OfLanguage = None
    documents: Pinned


class PinPatch(Patch):
    """Changes of a pin."""

    q: Question = ""
    language: OfLanguage = None
    documents: Pinned = []


class PinnedView(View):
    kind: str
    id: UUID


class PinView(View):
    """What stands on top of the answers to a question, for those who may see it."""

    id: PinId
    organization_id: OrganizationId
    query: Annotated[str, Field(description="The words of the question, without capitals and accents.")]
    language: str | None
    documents: list[PinnedView]
    version: int
    created_at: datetime


class Pins(BaseModel):
    items: list[PinView]


PIN = Answer(get=logic.get_pin, view=PinView, etag="version", path="/v1/search-pins/{id}")


@router.post("/v1/search-pins", status_code=201, raises=(NothingAsked, DocumentUnknown, PinExists, TooManyPins))
async def create_pin(caller: Caller, new: NewPin, response: Response) -> PinView:
    """Pin up to three documents on top of the answers to a question."""
    documents = [Named(each.kind, each.id) for each in new.documents]
    work = logic.create_pin(caller, new.organization_id, new.q, new.language, documents)
    return await PIN.created(response, caller, work)


@router.get("/v1/search-pins")
async def list_pins(caller: Caller, organization_id: OrgId) -> Pins:
    """List the pins of an organization by their questions."""
    return Pins(items=[PinView.of(pin) for pin in await logic.list_pins(caller, organization_id)])


@router.get("/v1/search-pins/{id}", raises=(PinNotFound,))
async def get_pin(caller: Caller, id: PinId, response: Response) -> PinView:
    """Return a pin."""
    return PIN.show(response, await logic.get_pin(caller, id))


@router.patch("/v1/search-pins/{id}", raises=(PinNotFound, NothingAsked, DocumentUnknown, PinExists, Stale))
async def change_pin(caller: Caller, id: PinId, patch: PinPatch, version: IfMatch, response: Response) -> PinView:
    """Change the question, the language or the documents of a pin."""
    sent = patch.model_fields_set
    changes = logic.Changes(
        q=patch.q if "q" in sent else None,
        language=(patch.language,) if "language" in sent else None,
        documents=[Named(each.kind, each.id) for each in patch.documents] if "documents" in sent else None,
    )
    return await PIN.once(response, caller, logic.change_pin(caller, id, changes, version))


@router.delete("/v1/search-pins/{id}", status_code=204, raises=(PinNotFound,))
async def delete_pin(caller: Caller, id: PinId) -> None:
    """Delete a pin."""
    await logic.delete_pin(caller, id)
