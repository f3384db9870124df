"""A question as the index is asked: what fits, who may see it, what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from api.analytics.search.contract import Named
from api.analytics.search.engine.near import Near, NearWord
from api.analytics.search.engine.synonyms import Synonyms
from api.analytics.search.engine.words import Question
from cluster.base.ids import OrgId
from cluster.people.access import Reach

_TYPOS = "AUTO:4,8"
_NEAR_BOOST, _SYNONYM_BOOST = 0.4, 0.8
_SEARCH_LIMIT = "3s"
MOST_VALUES = 20
"""Of a facet that are counted."""
EXACT, CLOSE = "exact", "close"
"""Names of the clauses of a word: it stands there as it was asked, or nearly so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the answers are restricted to; None or empty: not by this."""

    org_id: OrgId | None = None
    language: str | None = None
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Any of these values, for each facet."""


Rights = Mapping[str, Mapping[str, Reach]]
"""By kind: where each of its permissions holds for whoever asks."""


def search_body(
    question: Question,
    rights: Rights,
    filters: Filters,
    *,
    after: tuple[float, UUID] | None,
    size: int,
    analyzers: Sequence[str],
    near: Near,
    synonyms: Synonyms,
    facets: Sequence[str],
    counted: Sequence[str],
) -> dict[str, Any]:
    """Return a search for the best documents; words are asked for in the forms of `analyzers`, some also as those `near` them
    or as their `synonyms`; `facets` are counted over the kinds `counted`."""
    body: dict[str, Any] = {
        "size": size,
        "timeout": _SEARCH_LIMIT,
        "track_total_hits": False,
        "query": {
            "bool": {**_asked(question, analyzers, near, synonyms), "filter": [_visible(rights), *_restricted(filters)]}
        },
        "sort": [{"_score": "desc"}, {"id": "asc"}],
        "track_scores": True,
        "highlight": _highlight(analyzers),
        "_source": {"excludes": ["text", "text_*"]},
    }
    if after is not None:
        body["search_after"] = [after[0], str(after[1])]
    if counted:
        values = {name: {"terms": {"field": f"facets.{name}", "size": MOST_VALUES}} for name in facets}
        of_all = {"kind": {"terms": {"field": "kind", "size": 100}}, "language": {"terms": {"field": "language"}}}
        body["aggs"] = {"counted": {"filter": {"terms": {"kind": list(counted)}}, "aggs": {**of_all, **values}}}
    return body


def pinned_body(
    question: Question,
    rights: Rights,
    filters: Filters,
    documents: Sequence[Named],
    *,
    analyzers: Sequence[str],
) -> dict[str, Any]:
    """Return a search for these documents, whether they fit the question or not; its words are marked in them."""
    named = [
        {"bool": {"filter": [{"term": {"kind": each.kind}}, {"term": {"id": str(each.id)}}]}} for each in documents
    ]
    return {
        "size": len(documents),
        "timeout": _SEARCH_LIMIT,
        "track_total_hits": False,
        "query": {
            "bool": {
                "should": [{"bool": _asked(question, analyzers, {}, {})}],
                "minimum_should_match": 0,
                "filter": [_visible(rights), *_restricted(filters), _any(named)],
            }
        },
        "sort": [{"_score": "desc"}, {"id": "asc"}],
        "highlight": _highlight(analyzers),
        "_source": {"excludes": ["text", "text_*"]},
    }


def similar_body(document: Named, index: str, rights: Rights, *, analyzers: Sequence[str], size: int) -> dict[str, Any]:
    """Return a search for documents that have the rare words of this one in `index`."""
    forms = [field for analyzer in analyzers for field in (f"title_{analyzer}", f"text_{analyzer}")]
    like = {
        "fields": ["title", "text", *forms],
        "like": [{"_index": index, "_id": str(document.id)}],
        "min_term_freq": 1,
        "min_doc_freq": 2,
        "max_query_terms": 25,
        "minimum_should_match": "20%",
    }
    return {
        "size": size,
        "timeout": _SEARCH_LIMIT,
        "track_total_hits": False,
        "query": {"bool": {"must": [{"more_like_this": like}], "filter": [_visible(rights)]}},
        "sort": [{"_score": "desc"}, {"id": "asc"}],
        "_source": {"excludes": ["text", "text_*"]},
    }


def suggest_body(question: Question, rights: Rights, filters: Filters, *, size: int) -> dict[str, Any]:
    """Return a search for titles that begin like what was typed so far."""
    typed = " ".join(question.words or question.phrases)
    return {
        "size": size,
        "timeout": _SEARCH_LIMIT,
        "track_total_hits": False,
        "query": {
            "bool": {
                "must": [
                    {
                        "dis_max": {
                            "queries": [
                                {"match": {"title.prefix": {"query": typed, "operator": "and"}}},
                                {
                                    "match": {
                                        "title": {
                                            "query": typed,
                                            "operator": "and",
                                            "fuzziness": _TYPOS,
                                            "prefix_length": 1,
                                            "boost": 0.5,
                                        }
                                    }
                                },
                            ]
                        }
                    }
                ],
                "filter": [_visible(rights), *_restricted(filters)],
            }
        },
        "sort": [{"_score": "desc"}, {"id": "asc"}],
        "_source": {"excludes": ["text", "text_*"]},
    }


def _asked(question: Question, analyzers: Sequence[str], near: Near, synonyms: Synonyms) -> dict[str, Any]:
    last = len(question.words) - 1
    words = [
        _word(word, number, analyzers, near.get(number, ()), synonyms.get(number, ()), last=number == last)
        for number, word in enumerate(question.words)
    ]
    phrases = [_phrase(phrase) for phrase in question.phrases]
    found: dict[str, Any] = {"must": phrases, "must_not": [_phrase(phrase) for phrase in question.without]}
    if words:
        # Of one or two words all are needed, of more three quarters.
        found["must"] = [*phrases, {"bool": {"should": words, "minimum_should_match": "2<75%"}}]
    if len(question.words) > 1:
        together = {"query": " ".join(question.words), "slop": 2, "boost": 2}
        found["should"] = [{"match_phrase": {name: together}} for name in ("title", "text")]
    return found


def _word(
    word: str,
    number: int,
    analyzers: Sequence[str],
    near: Sequence[NearWord],
    synonyms: Sequence[str],
    *,
    last: bool,
) -> dict[str, Any]:
    """Ask for one word: as it is, in the form of each language, as the beginning of the last word, for those near it, and
    for those that mean the same."""
    plain = {"fields": ["title^4", "text"], "type": "best_fields"}
    fields = [field for analyzer in analyzers for field in (f"title_{analyzer}^3", f"text_{analyzer}")]
    clauses: list[dict[str, Any]] = [
        {"multi_match": {"query": word, **plain, "_name": f"{EXACT} {number}"}},
    ]
    if fields:
        languages = {"fields": fields, "type": "best_fields", "_name": f"{EXACT} {number} in a language"}
        clauses.append({"multi_match": {"query": word, **languages}})
    if last:
        clauses.append({"match": {"title.prefix": {"query": word, "boost": 0.8, "_name": f"{EXACT} {number} begun"}}})
    if synonyms:
        # A phrase of one word is that word, in every form of its language.
        forms = {"fields": [*plain["fields"], *fields], "type": "phrase", "boost": _SYNONYM_BOOST}
        others = [{"multi_match": {"query": term, **forms}} for term in synonyms]
        clauses.append({"dis_max": {"queries": others, "_name": f"{EXACT} {number} meant"}})
    if near:
        # In each language too, so that they are marked in texts.
        forms = {"fields": [*plain["fields"], *fields], "type": "best_fields"}
        others = [{"multi_match": {"query": each.word, **forms, "boost": _NEAR_BOOST * each.nearness}} for each in near]
        clauses.append({"dis_max": {"queries": others, "_name": f"{CLOSE} {number}"}})
    return {"dis_max": {"queries": clauses, "tie_breaker": 0.2}}


def _phrase(phrase: str) -> dict[str, Any]:
    return {"multi_match": {"query": phrase, "type": "phrase", "fields": ["title^3", "text"]}}


def _visible(rights: Rights) -> dict[str, Any]:
    """Return the filter that only what this person may see passes."""
    by_kind = [
        {
            "bool": {
                "filter": [
                    {"term": {"kind": kind}},
                    _any([_within(permission, reach) for permission, reach in permissions.items()]),
                ]
            }
        }
        for kind, permissions in rights.items()
    ]
    return _any(by_kind)


def _within(permission: str, reach: Reach) -> dict[str, Any]:
    named: dict[str, Any] = {"term": {"seen_with": permission}}
    if reach.everywhere:
        return named
    places = {"org_id": reach.org_ids, "course_id": reach.course_ids, "run_ids": reach.run_ids}
    where: list[dict[str, Any]] = [{"terms": {name: [str(id) for id in ids]}} for name, ids in places.items() if ids]
    if reach.own is not None:
        where.append({"term": {"owner_id": str(reach.own)}})
    return {"bool": {"filter": [named, _any(where)]}}


def _any(clauses: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # Without a clause nothing matches: a bool without any would match everything.
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}} if clauses else {"match_none": {}}


def _restricted(filters: Filters) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if filters.org_id is not None:
        found.append({"term": {"org_id": str(filters.org_id)}})
    if filters.language is not None:
        found.append({"term": {"language": filters.language}})
    found += [{"terms": {f"facets.{name}": list(values)}} for name, values in filters.facets.items()]
    return found


def _highlight(analyzers: Sequence[str]) -> dict[str, Any]:
    title = {"number_of_fragments": 0}
    text = {"number_of_fragments": 2, "fragment_size": 160}
    return {
        "type": "unified",
        "encoder": "html",
        "pre_tags": ["<mark>"],
        "post_tags": ["</mark>"],
        "require_field_match": False,
        "fields": {
            **{"title": title, "text": text},
            **{f"title_{analyzer}": title for analyzer in analyzers},
            **{f"text_{analyzer}": text for analyzer in analyzers},
        },
    }
