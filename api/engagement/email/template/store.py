"""The SQL of texts that organizations wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.email.contract import LetterTemplateId, TemplateState
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTemplate:
    id: LetterTemplateId
    org_id: OrgId
    template: str
    locale: str
    source: str
    state: TemplateState
    version: int
    created_at: datetime
    updated_at: datetime


_TEMPLATE = "id, org_id, template, locale, source, state, version, created_at, updated_at"
FIND_TEMPLATE = "SELECT " + _TEMPLATE + " FROM email.letter_templates WHERE id = $template_id"


async def find_template(db: Connection, template_id: LetterTemplateId) -> Guarded[OwnTemplate] | None:
    found = await db.maybe(OwnTemplate, FIND_TEMPLATE, template_id=template_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


LOCK_TEMPLATE = FIND_TEMPLATE + " FOR UPDATE"


async def lock_template(tx: Transaction, template_id: LetterTemplateId) -> OwnTemplate:
    return await tx.one(OwnTemplate, LOCK_TEMPLATE, template_id=template_id)


LIST_TEMPLATES = (
    "SELECT "
    + _TEMPLATE
    + """ FROM email.letter_templates
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($states::text[] IS NULL OR state = ANY($states))
        AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_templates(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[LetterTemplateId] | None,
    states: list[TemplateState] | None,
    before: LetterTemplateId | None,
    limit: int,
) -> list[OwnTemplate]:
    return await db.all(
        OwnTemplate, LIST_TEMPLATES, reach, org_id=org_id, ids=ids, states=states, before=before, limit=limit
    )


COUNT_DRAFTS = """
SELECT count(*) FROM (SELECT FROM email.letter_templates WHERE org_id = $org_id AND state = 'draft' LIMIT 1000) AS drafts
"""


async def count_drafts(tx: Transaction, org_id: OrgId) -> int:
    return await tx.value(COUNT_DRAFTS, org_id=org_id)


INSERT_TEMPLATE = (
    """INSERT INTO email.letter_templates (id, org_id, template, locale, source, created_at, updated_at)
    VALUES ($template_id, $org_id, $template, $locale, $source, $now, $now) RETURNING """
    + _TEMPLATE
)


async def insert_template(
    tx: Transaction, template_id: LetterTemplateId, org_id: OrgId, *, template: str, locale: str, source: str
) -> OwnTemplate:
    return await tx.one(
        OwnTemplate,
        INSERT_TEMPLATE,
        template_id=template_id,
        org_id=org_id,
        template=template,
        locale=locale,
        source=source,
    )


UPDATE_SOURCE = (
    """UPDATE email.letter_templates SET source = $source, version = version + 1, updated_at = $now
    WHERE id = $template_id RETURNING """
    + _TEMPLATE
)


async def update_source(tx: Transaction, template_id: LetterTemplateId, source: str) -> OwnTemplate:
    return await tx.one(OwnTemplate, UPDATE_SOURCE, template_id=template_id, source=source)


UPDATE_STATE = (
    """UPDATE email.letter_templates SET state = $state, version = version + 1, updated_at = $now
    WHERE id = $template_id RETURNING """
    + _TEMPLATE
)


async def update_state(tx: Transaction, template_id: LetterTemplateId, state: TemplateState) -> OwnTemplate:
    return await tx.one(OwnTemplate, UPDATE_STATE, template_id=template_id, state=state)


UPDATE_OTHERS_RETIRED = """
UPDATE email.letter_templates SET state = 'retired', version = version + 1, updated_at = $now
WHERE org_id = $org_id AND template = $template AND locale = $locale AND state = 'published' AND id <> $id
"""


async def update_others_retired(tx: Transaction, published: OwnTemplate) -> None:
    """Retire what was published for the same letter and locale."""
    await tx.run(UPDATE_OTHERS_RETIRED, published)


@dataclass(frozen=True, slots=True)
class Source:
    id: UUID
    org_id: OrgId
    template: str
    locale: str
    source: str
    state: TemplateState


LIST_SOURCES = """
SELECT id, org_id, template, locale, source, state FROM email.letter_templates
WHERE org_id = ANY($org_ids::uuid[]) AND template = ANY($templates::text[]) AND (state = 'published' OR id = ANY($ids::uuid[]))
LIMIT 1000
"""


async def list_sources(
    db: Connection, org_ids: Sequence[OrgId], templates: Sequence[str], ids: Sequence[UUID]
) -> list[Source]:
    """List what organizations published for these letters, and the texts with these ids."""
    return await db.all(Source, LIST_SOURCES, org_ids=list(org_ids), templates=list(templates), ids=list(ids))
