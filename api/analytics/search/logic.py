"""Use cases of search: find, suggest, and what operators do about the indexes."""

from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

from api.analytics.search import store
from api.analytics.search.contract import FacetUnknown, KindNotFound, KindUnknown, Named, NothingAsked
from api.analytics.search.correction import corrected
from api.analytics.search.engine.indexes import alias_of
from api.analytics.search.engine.languages import analyzers_in_use
from api.analytics.search.engine.near import Near, forgivable, words_near
from api.analytics.search.engine.question import Filters, Rights, pinned_body, search_body, similar_body, suggest_body
from api.analytics.search.engine.synonyms import Synonyms, synonyms_of
from api.analytics.search.engine.words import MOST_WORDS, Question, read_question
from api.analytics.search.hits import Hit, hit_of
from api.analytics.search.indexing import process
from api.analytics.search.kinds import Kind, kinds
from api.analytics.search.offers import SYNONYMS
from api.analytics.search.pin.kept import begun, pinned
from api.analytics.search.store import Generation
from cluster.base.away import is_away
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Unauthorized, Unavailable
from cluster.data import read
from cluster.data.opensearch import opensearch
from cluster.people.access import Reach, permit, reach_of, within
from cluster.people.org_settings import setting

_LIMIT_S = 5.0
_ROUNDS = 5
"""How often more is read for a page, of which sources refuse what was found."""
_MOST_PINNED = 3
"""Above suggestions: as many as stand above answers."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many of the answers have this value."""

    value: str
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    hits: list[Hit]
    pinned: list[Hit] = field(default_factory=list[Hit])
    """What stands above the hits of the first page, beside its limit."""
    facets: dict[str, list[Count]] = field(default_factory=dict[str, list[Count]])
    did_you_mean: str | None = None
    forgiven: int = 0
    """Bit n: word n was asked for with typos; the next pages ask the same."""


@dataclass(frozen=True, slots=True)
class After:
    """Where a page begins: after this document of the question that was asked for the first one."""

    score: float
    id: UUID
    forgiven: int


async def search(
    caller: Principal,
    text: str,
    filters: Filters,
    *,
    only: Sequence[str] | None,
    after: After | None,
    limit: int,
    reads: str | None = None,
) -> Found:
    """Find the best documents among those that the caller may see. Only the first page has facets, a correction and pins.

    `reads`: in which language the caller would read, where the filters name none.

    Raises:
        KindUnknown, FacetUnknown, NothingAsked
        Unavailable: OpenSearch does not answer, or its index is being built.
    """
    question = _question(text)
    chosen = _chosen(only, filters)
    rights = await _rights(caller, chosen)
    if not rights:
        return Found(hits=[])
    analyzers = await _languages(list(rights))
    place = filters.org_id or caller.bound_org
    synonyms = synonyms_of(question, await _same_meanings(place))
    pins = await pinned(place, question, filters.language or reads)
    asks = _Asks(caller, question, rights, filters, analyzers, synonyms, pins, limit)
    if after is not None:
        near = await _near(rights, question, _words_of(after.forgiven))
        page = await asks.page(near, after=(after.score, after.id), counted=())
        return Found(hits=page.hits, forgiven=after.forgiven)
    counted = [name for name in rights if not kinds()[name].offer.verified]
    page = await asks.page({}, after=None, counted=counted)
    # Typos cost most of a question's time: only words are forgiven of which nothing was found.
    missing = forgivable(question) - {int(name.split()[1]) for hit in page.fitting for name in hit.matched}
    near = await _near(rights, question, missing)
    if near:
        page = await asks.page(near, after=None, counted=counted)
    return Found(
        hits=page.hits,
        pinned=[replace(hit, pinned=True) for hit in await asks.named(pins)],
        facets=_counts(page.first) if counted else {},
        did_you_mean=corrected(question, page.fitting),
        forgiven=sum(1 << number for number in near),
    )


@dataclass(frozen=True, slots=True)
class _Page:
    hits: list[Hit]
    fitting: list[Hit]
    """The hits, and what is pinned among them."""
    first: Any
    """The engine's first answer, which has the counts."""


@dataclass(frozen=True, slots=True)
class _Asks:
    """Who asks for what."""

    caller: Principal
    question: Question
    rights: Rights
    filters: Filters
    analyzers: Sequence[str]
    synonyms: Synonyms
    pins: Sequence[Named]
    limit: int

    async def named(self, documents: Sequence[Named]) -> list[Hit]:
        """Return those of these documents that the caller may see, in this order."""
        if not documents:
            return []
        body = pinned_body(self.question, self.rights, self.filters, documents, analyzers=self.analyzers)
        answer = await _ask(list(self.rights), body)
        hits = await _verified(self.caller, [hit_of(hit) for hit in answer["hits"]["hits"]])
        return sorted(hits, key=lambda hit: documents.index(Named(hit.kind, hit.id)))

    async def page(self, near: Near, *, after: tuple[float, UUID] | None, counted: Sequence[str]) -> _Page:
        """Return a page of what the caller may see, without what is pinned."""
        facets = sorted({name for kind in counted for name in kinds()[kind].offer.facets})
        hits: list[Hit] = []
        fitting: list[Hit] = []
        first: Any = None
        for _ in range(_ROUNDS):
            body = search_body(
                self.question,
                self.rights,
                self.filters,
                after=after,
                size=self.limit,
                analyzers=self.analyzers,
                near=near,
                synonyms=self.synonyms,
                facets=facets,
                counted=[] if first else counted,
            )
            answer = await _ask(list(self.rights), body)
            first = first or answer
            read_hits = [hit_of(hit) for hit in answer["hits"]["hits"]]
            seen = await _verified(self.caller, read_hits)
            fitting += seen
            hits += [hit for hit in seen if Named(hit.kind, hit.id) not in self.pins]
            if len(read_hits) < self.limit or len(hits) >= self.limit:
                break
            after = (read_hits[-1].score, read_hits[-1].id)
        return _Page(hits[: self.limit], fitting, first)


async def shown(caller: Principal, documents: Sequence[Named], org_id: OrgId) -> list[Hit]:
    """Return those of these documents of an organization that the caller finds.

    Raises:
        Unavailable
    """
    known = {each.kind for each in documents} & kinds().keys()
    rights = await _rights(caller, {name: kinds()[name] for name in known})
    if not rights:
        return []
    asks = _Asks(caller, Question(), rights, Filters(org_id=org_id), (), {}, (), len(documents))
    return await asks.named(documents)


def _words_of(forgiven: int) -> set[int]:
    return {number for number in range(MOST_WORDS) if forgiven >> number & 1}


async def _near(rights: Rights, question: Question, numbers: Set[int]) -> Near:
    with _answering():
        return await words_near(_indexes(list(rights)), question, numbers & forgivable(question))


async def similar(caller: Principal, document: Named, limit: int) -> list[Hit]:
    """Find documents of the same kind with the same rare words, among those that the caller may see.

    None are like a document that the caller may not see: its words stay unknown.

    Raises:
        KindUnknown, Unavailable
    """
    rights = await _rights(caller, _chosen([document.kind], Filters()))
    if not rights or not await _Asks(caller, Question(), rights, Filters(), (), {}, (), 1).named([document]):
        return []
    analyzers = await _languages(list(rights))
    answer = await _ask(
        list(rights), similar_body(document, alias_of(document.kind), rights, analyzers=analyzers, size=limit)
    )
    return await _verified(caller, [hit_of(hit) for hit in answer["hits"]["hits"]])


async def suggest(
    caller: Principal,
    text: str,
    filters: Filters,
    *,
    only: Sequence[str] | None,
    limit: int,
    reads: str | None = None,
) -> list[Hit]:
    """Find titles that begin like what was typed so far, among those that the caller may see.

    What is pinned for questions that begin so stands first.

    Raises:
        KindUnknown, NothingAsked, Unavailable
    """
    question = _question(text)
    rights = await _rights(caller, _chosen(only, filters))
    if not rights:
        return []
    pins = await begun(filters.org_id or caller.bound_org, question, reads)
    asks = _Asks(caller, question, rights, filters, (), {}, pins, limit)
    first = [replace(hit, pinned=True) for hit in (await asks.named(pins))[:_MOST_PINNED]]
    answer = await _ask(list(rights), suggest_body(question, rights, filters, size=limit))
    above = {(hit.kind, hit.id) for hit in first}
    others = await _verified(caller, [hit_of(hit) for hit in answer["hits"]["hits"]])
    return [*first, *(hit for hit in others if (hit.kind, hit.id) not in above)][:limit]


async def list_indexes(caller: Principal, kind: str) -> list[Generation]:
    """List the indexes of a kind.

    Raises:
        KindNotFound
    """
    await permit(caller, "search:operate", within())
    if kind not in kinds():
        raise KindNotFound
    async with read() as db:
        return await store.list_generations(db, kind)


async def rebuild(caller: Principal, kind: str) -> Generation:
    """Build the index of a kind anew, beside the one that answers.

    Raises:
        KindNotFound
        BuildsAlready
    """
    await permit(caller, "search:operate", within())
    if kind not in kinds():
        raise KindNotFound
    return await process.rebuild(caller, kind)


def _question(text: str) -> Question:
    question = read_question(text)
    if question.is_empty:
        raise NothingAsked("ask for a word", pointer="/query/q")
    return question


def _chosen(only: Sequence[str] | None, filters: Filters) -> Mapping[str, Kind]:
    known = kinds()
    if unknown := sorted(set(only or ()) - known.keys()):
        raise KindUnknown(f"{unknown[0]}: there are {', '.join(known)}", pointer="/query/kind")
    chosen = {
        name: kind for name, kind in known.items() if (not kind.offer.named_only if only is None else name in only)
    }
    facets = {name for kind in chosen.values() for name in kind.offer.facets}
    if strange := sorted(filters.facets.keys() - facets):
        raise FacetUnknown(f"{strange[0]}: there are {', '.join(sorted(facets))}", pointer="/query/facet")
    return chosen


async def _rights(caller: Principal, chosen: Mapping[str, Kind]) -> Rights:
    """Return where the caller holds the permissions of each kind; kinds of which they may see nothing are left out."""
    reaches: dict[str, Reach] = {}
    for permission in {name for kind in chosen.values() for name in kind.offer.permissions}:
        reaches[permission] = await _reach(caller, permission)
    found: dict[str, dict[str, Reach]] = {}
    for name, kind in chosen.items():
        held = {each: reaches[each] for each in kind.offer.permissions if reaches[each] != Reach()}
        # What depends on the person cannot be asked for a guest.
        if held and not (kind.offer.verified and caller.id is None):
            found[name] = held
    return found


async def _reach(caller: Principal, permission: str) -> Reach:
    try:
        return await reach_of(caller, permission)
    except Unauthorized:
        # A guest, and this is not open to anyone.
        return Reach()


async def _same_meanings(org_id: OrgId | None) -> Sequence[str]:
    """Return which words mean the same where is searched; nobody finds nothing because that cannot be told now."""
    try:
        return await setting(SYNONYMS, org_id)
    except Unavailable:
        return ()


async def _languages(chosen: Sequence[str]) -> Sequence[str]:
    with _answering():
        return await analyzers_in_use(_indexes(chosen))


def _indexes(chosen: Sequence[str]) -> str:
    return ",".join(alias_of(kind) for kind in sorted(chosen))


@contextmanager
def _answering() -> Generator[None]:
    """Say that OpenSearch is away when it is."""
    from opensearchpy.exceptions import TransportError  # it loads aiohttp

    try:
        yield
    except TransportError as error:
        if is_away(error):
            raise Unavailable("the search does not answer; try again in a moment") from error
        raise


async def _ask(chosen: Sequence[str], body: dict[str, Any]) -> Any:
    with _answering():
        answer: Any = await opensearch().search(
            index=_indexes(chosen),
            body=body,
            params={
                "ignore_unavailable": "true",
                "allow_partial_search_results": "false",
                "request_timeout": _LIMIT_S,
            },
        )
    if not answer["_shards"]["total"]:
        raise Unavailable("the index is being built; try again in a minute", retry_after_s=10)
    return answer


async def _verified(caller: Principal, hits: Sequence[Hit]) -> list[Hit]:
    """Leave out what its source does not let this person see now."""
    refused: set[tuple[str, UUID]] = set()
    for name in {hit.kind for hit in hits}:
        kind = kinds()[name]
        if kind.offer.verified:
            ids = [hit.id for hit in hits if hit.kind == name]
            wanted = dict.fromkeys((*kind.offer.permissions, *kind.offer.verified_with))
            reaches = {permission: await _reach(caller, permission) for permission in wanted}
            seen = await kind.source.may_see(name, caller.person(), ids, reaches)
            refused |= {(name, id) for id in ids if id not in set(seen)}
    return [hit for hit in hits if (hit.kind, hit.id) not in refused]


def _counts(answer: Any) -> dict[str, list[Count]]:
    counted = cast("dict[str, Any]", answer["aggregations"]["counted"])
    return {
        name: [Count(bucket["key"], bucket["doc_count"]) for bucket in values["buckets"]]
        for name, values in counted.items()
        if name != "doc_count" and values["buckets"]
    }
