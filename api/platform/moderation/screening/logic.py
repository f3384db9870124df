"""Use cases of screening: judge texts before they are stored, and things whose texts were stored without."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

from api.platform.moderation.contract import Finding, Place, Screening, TextTooLong
from api.platform.moderation.screening import kept, store
from api.platform.moderation.screening.matching import Matcher
from api.platform.moderation.screening.pieces import MAX_TEXT_BYTES
from api.platform.moderation.screening.store import Standing
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import FieldError
from cluster.data import read
from cluster.people.access import Guarded, permit

_AT_ONCE_CHARS = 4_000
"""A text up to this length is screened on the event loop: it takes less than handing it over."""
_NOBODY = Standing(strikes=0, muted_until=None, banned=False)


async def screen(texts: Mapping[str, str], author: UserId | None, place: Place) -> Screening:
    """Judge texts by the rules of the platform and of their organization, and by where their author stands.

    Raises:
        TextTooLong
    """
    too_long = [
        FieldError(pointer, "text-too-long", f"write at most {MAX_TEXT_BYTES} bytes of UTF-8")
        for pointer, text in texts.items()
        if len(text) * 4 > MAX_TEXT_BYTES and len(text.encode(errors="replace")) > MAX_TEXT_BYTES
    ]
    if too_long:
        raise TextTooLong(errors=tuple(too_long))
    matchers = [each for each in await kept.matchers(place.org_id) if not each.is_empty]
    standing = _NOBODY if author is None else await standing_of(author, place.org_id)
    findings: list[Finding] = []
    at_once = sum(map(len, texts.values())) <= _AT_ONCE_CHARS
    for matcher in matchers:
        if at_once:
            findings += _find(matcher, texts, place, standing)
        else:
            findings += await asyncio.to_thread(_find, matcher, texts, place, standing)
    effects = {each.effect for each in findings}
    verdict = "refuse" if standing.muted_until or "refuse" in effects else "hold" if effects else "allow"
    return Screening(verdict=verdict, findings=findings, muted_until=standing.muted_until)


def _find(matcher: Matcher, texts: Mapping[str, str], place: Place, standing: Standing) -> list[Finding]:
    return matcher.find(texts, kind=place.kind, language=place.language, strikes=standing.strikes)


async def standing_of(user_id: UserId, org_id: OrgId | None) -> Standing:
    async with read() as db:
        return await store.find_standing(db, user_id, org_id)


async def own_standing(caller: Principal, org_id: UUID | None) -> Standing:
    """Return where the caller stands, in an organization and on the platform."""
    user_id = caller.person()
    await permit(caller, "moderation-standing:read", Guarded(user_id, owner_id=user_id))
    return await standing_of(user_id, None if org_id is None else OrgId(org_id))
