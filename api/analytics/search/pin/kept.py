"""Pins in memory: each process keeps those of the organizations that it answers for."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from api.analytics.search.contract import Named
from api.analytics.search.engine.synonyms import plain
from api.analytics.search.engine.words import Question
from api.analytics.search.pin import store
from cluster.base.ids import OrgId
from cluster.base.problems import Unavailable
from cluster.data import Transaction, read
from cluster.signals.kept import Kept

_Pins = Mapping[tuple[str, str | None], Sequence[Named]]
"""By question and language."""

_MOST_BEGUN = 30
"""Pinned documents that are looked at for what was typed so far: one may not see all of them."""
_TTL_S = 30.0
_MAX_BROADCAST_AGE_S = 5.0
_kept: Kept[OrgId, _Pins] = Kept(
    "search.pins",
    size=100_000,
    ttl_s=_TTL_S,
    max_broadcast_age_s=_MAX_BROADCAST_AGE_S,
    weigh=lambda pins: len(pins) + 1,
    key=lambda text: OrgId(UUID(text)),
)


def normal(question: Question) -> str:
    """Return the words of a question without capitals and accents; none of one that leaves words out: it has no pins."""
    return "" if question.without else plain(" ".join([*question.words, *question.phrases]))


def primary(language: str | None) -> str | None:
    """Return the language itself, without script and region."""
    return None if language is None else language.partition("-")[0].lower()


async def pinned(org_id: OrgId | None, question: Question, language: str | None) -> Sequence[Named]:
    """Return what is pinned for a question; nobody finds nothing because that cannot be told now."""
    query = normal(question)
    pins = await _pins(org_id) if query else {}
    return _chosen(pins, query, language)


async def begun(org_id: OrgId | None, question: Question, language: str | None) -> Sequence[Named]:
    """Return what is pinned for questions that begin like what was typed so far: for the shortest of them first."""
    typed = normal(question)
    pins = await _pins(org_id) if typed else {}
    queries = sorted({query for query, _ in pins if query.startswith(typed)})
    found = [document for query in sorted(queries, key=len) for document in _chosen(pins, query, language)]
    return list(dict.fromkeys(found))[:_MOST_BEGUN]


async def _pins(org_id: OrgId | None) -> _Pins:
    if org_id is None:
        return {}

    async def load() -> _Pins:
        async with read() as db:
            return {(pin.query, pin.language): pin.documents for pin in await store.list_pins(db, org_id)}

    try:
        return await _kept.get(org_id, load)
    except Unavailable:
        return {}


def _chosen(pins: _Pins, query: str, language: str | None) -> Sequence[Named]:
    return pins.get((query, primary(language))) or pins.get((query, None), ())


def drop(tx: Transaction, org_id: OrgId) -> None:
    """Forget an organization's pins in every process once `tx` has committed."""
    _kept.drop(tx, org_id)
