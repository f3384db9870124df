"""The text of a letter: the offered one in the best locale."""

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from api.engagement.email.contract import TemplateRefused
from api.engagement.email.template import store
from api.engagement.email.template.rendering import Compiled, Rendered, compile_source
from api.engagement.email.template.sources import sources
from api.engagement.email.template.store import Source
from cluster.base.ids import OrgId
from cluster.data import Connection
from cluster.people.wording import fallbacks

log = logging.getLogger(__name__)


@lru_cache(maxsize=512)
def _compiled(name: str, locale: str) -> tuple[Compiled, str]:
    found = sources(name)
    locale = next(each for each in fallbacks(locale) if each in found)
    return compile_source(found[locale]), locale


class OwnTexts:
    """What organizations wrote for letters in their name."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._tested = {each.id: each for each in sources}
        self._published: dict[tuple[OrgId, str], dict[str, str]] = {}
        for each in sources:
            if each.state == "published":
                self._published.setdefault((each.org_id, each.template), {})[each.locale] = each.source

    def of(self, org_id: OrgId | None, template: str, source_id: UUID | None) -> Mapping[str, str]:
        """Return the sources of a letter by locale: the one that it tries, else those that are published."""
        tested = None if source_id is None else self._tested.get(source_id)
        if tested is not None:
            return {tested.locale: tested.source}
        return {} if org_id is None else self._published.get((org_id, template), {})


async def find_own_texts(db: Connection, letters: Collection[tuple[OrgId | None, str, UUID | None]]) -> OwnTexts:
    """Find what organizations wrote for letters: organization, template, and the text that a letter tries."""
    org_ids = {org_id for org_id, _, _ in letters if org_id is not None}
    names = sorted({name for _, name, _ in letters})
    ids = [source_id for _, _, source_id in letters if source_id is not None]
    return OwnTexts(await store.list_sources(db, list(org_ids), names, ids) if org_ids else [])


def render(
    name: str,
    locale: str,
    fields: Mapping[str, str],
    *,
    own: Mapping[str, str] | None = None,
    sender: str = "LearningHub",
    unsubscribe: str | None = None,
) -> Rendered:
    """Render a letter with the organization's own text by locale, else with that of its service, in the best locale.

    An own text that cannot be filled in with these fields gives way to the offered one, so that no letter is lost.

    Raises:
        TemplateRefused
    """
    offered, found = _compiled(name, locale)
    for each in fallbacks(locale):
        source = (own or {}).get(each)
        if source is not None:
            try:
                return compile_source(source).render(fields, sender=sender, unsubscribe=unsubscribe, locale=each)
            except TemplateRefused as error:
                log.warning("an organization's text cannot be used", extra={"template": name, "error": str(error)})
                break
        if each == found:
            break
    return offered.render(fields, sender=sender, unsubscribe=unsubscribe, locale=found)
