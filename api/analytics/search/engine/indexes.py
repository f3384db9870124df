"""Indexes: make, write, swap and delete them."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson

from api.analytics.search.engine.form import form, in_form
from cluster.base.problems import Unavailable
from cluster.data.opensearch import index_name, opensearch
from cluster.people.documents import Document, Gone

_MOST_BYTES = 8 * 1024 * 1024


class IndexMissing(Exception):
    """There is no such index: somebody deleted it, or the server lost its data."""


def alias_of(kind: str) -> str:
    """Return under which name a kind is asked."""
    return index_name("search", kind)


def index_of(kind: str, number: int) -> str:
    return index_name("search", kind, number)


async def make(kind: str, number: int) -> None:
    """Make an empty index; one that is there stays."""
    from opensearchpy.exceptions import RequestError  # it loads aiohttp

    try:
        await opensearch().indices.create(index=index_of(kind, number), body=form())
    except RequestError as error:
        if error.error != "resource_already_exists_exception":
            raise


async def exists(kind: str, number: int) -> bool:
    return bool(await opensearch().indices.exists(index=index_of(kind, number)))


async def answers(kind: str, number: int) -> bool:
    """Tell whether the kind's alias leads to this index."""
    return bool(await opensearch().indices.exists_alias(index=index_of(kind, number), name=alias_of(kind)))


async def write(
    kind: str, number: int, documents: Sequence[Document | Gone], facets: tuple[str, ...]
) -> dict[UUID, str]:
    """Bring documents into an index, whatever order they come in: an older version changes nothing.

    Returns why the index refused some of them.

    Raises:
        IndexMissing
        Unavailable: the server has no room for more requests now.
    """
    index, failed = index_of(kind, number), dict[UUID, str]()
    for lot in _lots([_lines(index, kind, document, facets) for document in documents]):
        answer: Any = await opensearch().bulk(body=lot)
        if answer["errors"]:
            failed |= _failures(answer["items"])
    return failed


def _lines(index: str, kind: str, document: Document | Gone, facets: tuple[str, ...]) -> bytes:
    where = {"_index": index, "_id": str(document.id), "version": document.version, "version_type": "external"}
    if isinstance(document, Gone):
        return orjson.dumps({"delete": where}) + b"\n"
    return orjson.dumps({"index": where}) + b"\n" + orjson.dumps(in_form(kind, document, facets)) + b"\n"


def _lots(lines: list[bytes]) -> list[bytes]:
    """Join lines to requests of a size that the server takes."""
    lots: list[bytes] = []
    waiting: list[bytes] = []
    for line in lines:
        if waiting and sum(map(len, waiting)) + len(line) > _MOST_BYTES:
            lots.append(b"".join(waiting))
            waiting = []
        waiting.append(line)
    return [*lots, b"".join(waiting)] if waiting else lots


def _failures(items: list[dict[str, Any]]) -> dict[UUID, str]:
    failed: dict[UUID, str] = {}
    for item in items:
        (done,) = item.values()
        status = cast(int, done["status"])
        error = done.get("error")
        # 409: the index has this version or a later one. 404 without an error: what was deleted was not there.
        if error is None or status == 409:
            continue
        if error["type"] == "index_not_found_exception":
            raise IndexMissing(done["_index"])
        if status in (429, 503):
            raise Unavailable("OpenSearch takes no more documents at the moment")
        # Not what follows: it quotes the document.
        reason = str(error.get("reason")).partition(" Preview of")[0]
        failed[UUID(done["_id"])] = f"{error['type']}: {reason}"
    return failed


async def lacking(kind: str, number: int, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of these documents that an index does not have.

    Raises:
        IndexMissing
    """
    from opensearchpy.exceptions import NotFoundError  # it loads aiohttp

    index = index_of(kind, number)
    if not ids:
        return set()
    try:
        body = {"ids": [str(id) for id in ids]}
        answer: Any = await opensearch().mget(index=index, body=body, params={"_source": "false"})
    except NotFoundError as error:
        raise IndexMissing(index) from error
    return {UUID(each["_id"]) for each in answer["docs"] if not each.get("found")}


async def delete_older(kind: str, number: int, before: datetime, limit: int) -> int:
    """Delete documents of an index that were changed before; return how many.

    Raises:
        IndexMissing
    """
    from opensearchpy.exceptions import NotFoundError  # it loads aiohttp

    index = index_of(kind, number)
    try:
        answer: Any = await opensearch().delete_by_query(
            index=index,
            body={"query": {"range": {"updated_at": {"lt": before.isoformat()}}}},
            params={"max_docs": limit, "conflicts": "proceed", "refresh": "true", "request_timeout": 60},
        )
    except NotFoundError as error:
        raise IndexMissing(index) from error
    return answer["deleted"]


async def show(kind: str, number: int) -> None:
    """Let the kind's alias lead to this index alone, at once for everybody.

    Raises:
        IndexMissing
    """
    from opensearchpy.exceptions import NotFoundError  # it loads aiohttp

    index, alias = index_of(kind, number), alias_of(kind)
    client = opensearch()
    try:
        await client.indices.refresh(index=index)
        others: Any = await client.indices.get_alias(index=f"{alias}-*")
        removed = [
            {"remove": {"index": other, "alias": alias}}
            for other, known in others.items()
            if other != index and alias in known["aliases"]
        ]
        await client.indices.update_aliases(body={"actions": [*removed, {"add": {"index": index, "alias": alias}}]})
    except NotFoundError as error:
        raise IndexMissing(index) from error


async def delete(kind: str, number: int) -> None:
    """Delete an index; one that is not there is no fault."""
    from opensearchpy.exceptions import NotFoundError  # it loads aiohttp

    with suppress(NotFoundError):
        await opensearch().indices.delete(index=index_of(kind, number))
