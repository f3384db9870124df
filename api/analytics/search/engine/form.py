"""The form of an index: fields, how each language is analyzed, and a document in that form."""

import hashlib
from typing import Any

import orjson

from cluster.people.documents import Document

FORM = 2
"""Count this up when the form changes: each kind gets a new index then, beside the one that answers."""
FORM_SHA256 = "51353d7e0b97ba55240278da28a7fc3ba78dd450aa5359f8f0895137a12211d0"
"""Of the form of this number."""

_ANALYZERS = {
    "ar": "arabic", "bg": "bulgarian", "bn": "bengali", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german",
    "el": "greek", "en": "english", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "gl": "galician", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "ja": "cjk", "ko": "cjk", "lt": "lithuanian", "lv": "latvian", "nb": "norwegian", "nl": "dutch",
    "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish",
    "th": "thai", "tr": "turkish", "zh": "cjk",
}  # fmt: skip
ANALYZERS = tuple(sorted(set(_ANALYZERS.values())))
_MOST_TEXT = 1_000_000
"""Characters of a text that are found; the highlighter reads no more of it."""

_KEYWORD = {"type": "keyword", "ignore_above": 256}
_MARKED = {"index_options": "offsets"}
"""Of fields in which words are marked: the index knows where they stand, so that long texts are not analyzed again."""
_HIDDEN = {"type": "keyword", "index": False, "doc_values": False}


def form() -> dict[str, Any]:
    """Return settings and mapping of an index.

    A document has its text once, in the field of its language, which is copied to `text`; that one is analyzed alike for all
    languages. Its title is in both, so that words with typos can be marked in it.
    """
    title = {
        "type": "text",
        "analyzer": "plain",
        **_MARKED,
        "fields": {"prefix": {"type": "text", "analyzer": "prefixes", "search_analyzer": "plain"}},
    }
    by_language: dict[str, Any] = {}
    for analyzer in ANALYZERS:
        by_language[f"title_{analyzer}"] = {"type": "text", "analyzer": analyzer, **_MARKED}
        by_language[f"text_{analyzer}"] = {"type": "text", "analyzer": analyzer, "copy_to": "text", **_MARKED}
    return {
        "settings": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "refresh_interval": "500ms",
            # A deletion that comes late must still be known when an older version comes later.
            "gc_deletes": "1h",
            "highlight.max_analyzed_offset": _MOST_TEXT,
            "analysis": {
                "filter": {"beginnings": {"type": "edge_ngram", "min_gram": 1, "max_gram": 20}},
                "analyzer": {
                    "plain": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding"]},
                    "prefixes": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "beginnings"]},
                },
            },
        },
        "mappings": {
            "dynamic": "strict",
            "dynamic_templates": [{"facets": {"path_match": "facets.*", "mapping": _KEYWORD}}],
            "properties": {
                "id": {"type": "keyword"},
                "kind": {"type": "keyword"},
                "language": {"type": "keyword"},
                "url": _HIDDEN,
                "seen_with": {"type": "keyword"},
                **{name: {"type": "keyword"} for name in ("org_id", "course_id", "run_ids", "owner_id")},
                "facets": {"type": "object", "dynamic": True},
                "updated_at": {"type": "date"},
                "title": title,
                "path": {"type": "text", "analyzer": "plain", "copy_to": "text"},
                "text": {"type": "text", "analyzer": "plain", **_MARKED},
                **by_language,
            },
        },
    }


def form_sha256() -> str:
    return hashlib.sha256(orjson.dumps(form(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def analyzer_of(language: str) -> str | None:
    """Return the analyzer of a language (BCP 47); None: it is not known."""
    return _ANALYZERS.get(language.partition("-")[0].lower())


def field_of(name: str, language: str) -> str:
    """Return the field in which a document of this language has its title or text."""
    analyzer = analyzer_of(language)
    return name if analyzer is None else f"{name}_{analyzer}"


def in_form(kind: str, document: Document, facets: tuple[str, ...]) -> dict[str, Any]:
    """Return a document as the index keeps it, with those of its facets that its kind has."""
    title = document.title[:1000]
    return {
        "id": str(document.id),
        "kind": kind,
        "language": document.language,
        "url": document.url,
        "seen_with": document.seen_with,
        "org_id": _text(document.org_id),
        "course_id": _text(document.course_id),
        "run_ids": [str(run_id) for run_id in document.run_ids],
        "owner_id": _text(document.owner_id),
        "facets": {name: list(document.facets[name]) for name in facets if name in document.facets},
        "updated_at": document.updated_at.isoformat(),
        "title": title,
        "path": [each[:1000] for each in document.path],
        field_of("title", document.language): title,
        field_of("text", document.language): document.text[:_MOST_TEXT],
    }


def _text(id: object | None) -> str | None:
    return None if id is None else str(id)
