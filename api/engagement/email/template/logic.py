"""Use cases of texts that organizations write for letters in their name: draft, look at, try, publish, retire."""

from api.engagement.email.contract import (
    LetterTemplate,
    LetterTemplateId,
    LetterTemplateNotFound,
    NewLetter,
    NotYourAddress,
    TemplateNotDraft,
    TemplateRefused,
    TemplateState,
    TooManyDrafts,
)
from api.engagement.email.letter import logic as letters
from api.engagement.email.template import store
from api.engagement.email.template.rendering import Rendered, compile_source
from api.engagement.email.template.sources import sources, templates
from api.engagement.email.template.store import OwnTemplate
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Invalid, Stale
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.people.access import AddressSource, permit, permitted, reach_of, within
from cluster.people.calls import client
from cluster.people.wording import fallbacks

MOST_DRAFTS = 100


def sample_fields(offer: LetterTemplate) -> dict[str, str]:
    """Return what stands for the fields in a preview."""
    return {name: f"{settings().public_url}/{name}" if name.endswith("url") else f"[{name}]" for name in offer.fields}


def render_sample(template: str, locale: str, source: str) -> Rendered:
    """Render a source with samples.

    Raises:
        TemplateRefused: it is not MJML and Liquid, asks for a field that the letter lacks, or does not come to an end.
    """
    offer = templates().get(template)
    if offer is None:
        raise TemplateRefused("its letter is not sent any more", pointer="/template")
    fields = sample_fields(offer)
    return compile_source(source).render(fields, sender="LearningHub", unsubscribe=None, locale=locale)


async def create_template(
    caller: Principal, org_id: OrgId, *, template: str, locale: str, source: str | None
) -> OwnTemplate:
    """Write a draft; without a source: of the offered text.

    Raises:
        TemplateRefused, TooManyDrafts, Invalid
    """
    await permit(caller, "letter-template:edit", within(org_id=org_id))
    if template not in templates():
        raise Invalid("GET /v1/letter-templates/-/offered lists the letters that there are", pointer="/template")
    if source is None:
        offered = sources(template)
        source = next(offered[each] for each in fallbacks(locale) if each in offered)
    render_sample(template, locale, source)
    template_id = LetterTemplateId(new_id())
    async with write(caller, result=template_id, status=201) as tx:
        await tx.take_turns("email.letter_template", org_id)
        if await store.count_drafts(tx, org_id) >= MOST_DRAFTS:
            raise TooManyDrafts("retire some of them first")
        return await store.insert_template(tx, template_id, org_id, template=template, locale=locale, source=source)


async def get_template(caller: Principal, template_id: LetterTemplateId) -> OwnTemplate:
    return await permitted(
        caller, "letter-template:read", store.find_template, template_id, missing=LetterTemplateNotFound
    )


async def list_templates(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[LetterTemplateId] | None,
    states: list[TemplateState] | None,
    before: LetterTemplateId | None,
    limit: int,
) -> list[OwnTemplate]:
    reach = await reach_of(caller, "letter-template:read")
    async with read() as db:
        return await store.list_templates(db, reach, org_id=org_id, ids=ids, states=states, before=before, limit=limit)


async def _editable(caller: Principal, template_id: LetterTemplateId) -> OwnTemplate:
    return await permitted(
        caller, "letter-template:edit", store.find_template, template_id, missing=LetterTemplateNotFound
    )


async def change_template(
    caller: Principal, template_id: LetterTemplateId, source: str, expected_version: int
) -> OwnTemplate:
    """Change a draft.

    Raises:
        Stale, TemplateNotDraft, TemplateRefused
    """
    seen = await _editable(caller, template_id)
    render_sample(seen.template, seen.locale, source)
    async with write(caller, result=template_id) as tx:
        present = await store.lock_template(tx, template_id)
        if present.version != expected_version:
            raise Stale(present.version)
        if present.state != "draft":
            raise TemplateNotDraft(f"it is {present.state}: write a new draft")
        return await store.update_source(tx, template_id, source)


async def publish(caller: Principal, template_id: LetterTemplateId) -> OwnTemplate:
    """Use a text for letters from now on; the one before is retired. Again changes nothing.

    Raises:
        TemplateRefused: the letter has other fields by now.
    """
    seen = await _editable(caller, template_id)
    async with write(caller, result=template_id) as tx:
        # One after the other, so that one is published in the end.
        await tx.take_turns("email.letter_template", seen.org_id)
        present = await store.lock_template(tx, template_id)
        if present.state == "published":
            return present
        render_sample(present.template, present.locale, present.source)
        await store.update_others_retired(tx, present)
        return await store.update_state(tx, template_id, "published")


async def retire(caller: Principal, template_id: LetterTemplateId) -> OwnTemplate:
    """Use the offered text again, or give a draft up. Again changes nothing."""
    seen = await _editable(caller, template_id)
    async with write(caller, result=template_id) as tx:
        await tx.take_turns("email.letter_template", seen.org_id)
        present = await store.lock_template(tx, template_id)
        return present if present.state == "retired" else await store.update_state(tx, template_id, "retired")


async def preview(caller: Principal, template_id: LetterTemplateId) -> Rendered:
    """Show a text with samples in place of its fields.

    Raises:
        TemplateRefused
    """
    seen = await get_template(caller, template_id)
    return render_sample(seen.template, seen.locale, seen.source)


async def send_test(caller: Principal, template_id: LetterTemplateId, email: str) -> OwnTemplate:
    """Send a text with samples to the caller's own address.

    Raises:
        NotYourAddress, TemplateRefused
    """
    seen = await _editable(caller, template_id)
    user_id = caller.person()
    render_sample(seen.template, seen.locale, seen.source)
    if not await client(AddressSource).owns_address(user_id, email):
        raise NotYourAddress("a test goes to a verified address of yours alone", pointer="/email")
    letter = NewLetter(
        id=new_id(),
        template=seen.template,
        to=email,
        locale=seen.locale,
        user_id=user_id,
        org_id=seen.org_id,
        fields=sample_fields(templates()[seen.template]),
        expires_at=None,
    )
    async with write(caller, result=template_id) as tx:
        await letters.take(tx, [letter], source_id=template_id)
    return seen
