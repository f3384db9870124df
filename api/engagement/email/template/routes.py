"""HTTP of texts that organizations write for letters."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.engagement.email.contract import (
    Lane,
    LetterTemplateId,
    LetterTemplateNotFound,
    NotYourAddress,
    TemplateNotDraft,
    TemplateRefused,
    TemplateState,
    TooManyDrafts,
)
from api.engagement.email.template import logic
from api.engagement.email.template.sources import sources, templates
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, OrganizationId, Page, Paging, Patch, Router, Several, View

router = Router("email")

Source = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100_000,
        description="MJML with Liquid; `<mj-title>` is the subject",
        examples=["<mj-title>Join {{ organization }}</mj-title><mj-button href='{{ url }}'>Join</mj-button>"],
    ),
]


class NewLetterTemplate(Body):
    """A draft of a letter's text. Without `source` it begins as the offered text."""

    organization_id: OrgId
    template: Annotated[str, Field(max_length=100, examples=["organization.invitation"])]
    locale: Annotated[
        str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, description="BCP 47", examples=["de"])
    ]
    source: Source | None = None


class LetterTemplatePatch(Patch):
    source: Source


class TestLetter(Body):
    email: Annotated[str, Field(max_length=320, examples=["ada@school.example"])]


class LetterTemplateView(View):
    """The text of a letter in one locale. While it is `published`, letters in the organization's name have it."""

    id: LetterTemplateId
    organization_id: OrganizationId
    template: str
    locale: str
    source: str
    state: TemplateState
    created_at: datetime
    updated_at: datetime


class PreviewView(View):
    subject: str
    html: str
    text: str


class OfferedView(View):
    """A letter that the platform sends, and the fields that its text may name."""

    template: str
    title: str
    lane: Lane
    fields: list[str]
    locales: list[str]


TEMPLATE = Answer(get=logic.get_template, view=LetterTemplateView, etag="version", path="/v1/letter-templates/{id}")


@router.get("/v1/letter-templates")
async def list_letter_templates(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    id: Several[LetterTemplateId] = None,
    state: Annotated[Several[TemplateState], Query(description="How they stand")] = None,
) -> Page[LetterTemplateView]:
    """List the texts of organizations that the caller administrates, newest first."""
    after = paging.after(organization_id=organization_id, id=id, state=state)
    found = await logic.list_templates(
        caller,
        org_id=organization_id,
        ids=id,
        states=state,
        before=LetterTemplateId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=LetterTemplateView.of)


@router.get("/v1/letter-templates/-/offered")
async def list_offered(caller: Caller) -> list[OfferedView]:
    """List the letters whose text an organization may write itself."""
    caller.person()
    return [
        OfferedView(
            template=each.name,
            title=each.title,
            lane=each.lane,
            fields=list(each.fields),
            locales=list(sources(each.name)),
        )
        for each in sorted(templates().values(), key=lambda offer: offer.name)
    ]


@router.post("/v1/letter-templates", status_code=201, raises=(TemplateRefused, TooManyDrafts))
async def create_letter_template(caller: Caller, new: NewLetterTemplate, response: Response) -> LetterTemplateView:
    """Write a draft of a letter's text."""
    work = logic.create_template(
        caller, new.organization_id, template=new.template, locale=new.locale, source=new.source
    )
    return await TEMPLATE.created(response, caller, work)


@router.get("/v1/letter-templates/{template_id}", raises=(LetterTemplateNotFound,))
async def get_letter_template(caller: Caller, template_id: LetterTemplateId, response: Response) -> LetterTemplateView:
    """Return a text."""
    return TEMPLATE.show(response, await logic.get_template(caller, template_id))


@router.patch(
    "/v1/letter-templates/{template_id}", raises=(LetterTemplateNotFound, TemplateNotDraft, TemplateRefused, Stale)
)
async def change_letter_template(
    caller: Caller, template_id: LetterTemplateId, patch: LetterTemplatePatch, version: IfMatch, response: Response
) -> LetterTemplateView:
    """Change a draft."""
    return await TEMPLATE.once(response, caller, logic.change_template(caller, template_id, patch.source, version))


@router.get("/v1/letter-templates/{template_id}/preview", raises=(LetterTemplateNotFound, TemplateRefused))
async def preview_letter_template(caller: Caller, template_id: LetterTemplateId) -> PreviewView:
    """Show a text with samples in place of its fields."""
    return PreviewView.of(await logic.preview(caller, template_id))


@router.post("/v1/letter-templates/{template_id}/publish", raises=(LetterTemplateNotFound, TemplateRefused))
async def publish_letter_template(
    caller: Caller, template_id: LetterTemplateId, response: Response
) -> LetterTemplateView:
    """Use a text for letters from now on; the one before is retired."""
    return await TEMPLATE.once(response, caller, logic.publish(caller, template_id))


@router.post("/v1/letter-templates/{template_id}/retire", raises=(LetterTemplateNotFound,))
async def retire_letter_template(
    caller: Caller, template_id: LetterTemplateId, response: Response
) -> LetterTemplateView:
    """Use the offered text again, or give a draft up."""
    return await TEMPLATE.once(response, caller, logic.retire(caller, template_id))


@router.post(
    "/v1/letter-templates/{template_id}/test", raises=(LetterTemplateNotFound, NotYourAddress, TemplateRefused)
)
async def test_letter_template(
    caller: Caller, template_id: LetterTemplateId, test: TestLetter, response: Response
) -> LetterTemplateView:
    """Send a text with samples to a verified address of the caller's."""
    return await TEMPLATE.once(response, caller, logic.send_test(caller, template_id, test.email))
