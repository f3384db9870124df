"""Deliver films below `/v1/playbacks/-/<token>/`: playlists, init segments and segments, without any header (RFC 8216).

The token in the path is all that a player sends; it counts while the right that it was given for stands. Names are looked up,
never resolved, so no path leads anywhere else.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from api.media.video_streaming import films, rules, standing, tokens
from api.media.video_streaming.contract import FilmNotFound
from cluster.base.problems import Problem
from cluster.data.objects import ObjectMissing

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PREFIX = "/v1/playbacks/-"

MAX_STALL_S = 60.0
"""The time that a client may take no bytes: a connection to the store waits with it. It asks for the rest by a range."""

_PLAYLIST_CACHE = "private, max-age=60"
_SEGMENT_CACHE = "private, max-age=86400, immutable"


class OnlyReading(Problem):
    status = 405
    title = "A film can only be read"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a film: a playlist, whose bytes are here, or an object of the store."""

    film: films.Film
    name: str
    size_bytes: int
    content: bytes | None

    @property
    def etag(self) -> str:
        text = self.content if self.content is not None else self.film.key(self.name).encode()
        return f'"{hashlib.sha256(text).hexdigest()[:32]}"'

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Stream a range; the store is read as fast as the client takes it."""
        if self.content is not None:
            yield self.content[start:end]
            return
        async with aclosing(self.film.bucket.get(self.film.key(self.name), start, end)) as chunks:
            async for chunk in chunks:
                yield chunk


async def deliver(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer GET and HEAD for a file of a film.

    Raises:
        PlaybackRefused, FilmNotFound, RangeNotSatisfiable, Unavailable, OnlyReading
    """
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        raise OnlyReading("send GET or HEAD", headers={"Allow": "GET, HEAD"})
    token, _, name = scope["path"].removeprefix(PREFIX + "/").partition("/")
    claims = tokens.verify(token, datetime.now(UTC))
    await standing.check(claims)
    file = await _find(await films.get_film(claims.video_id), name)
    wanted = Headers(scope=scope)
    etag = file.etag
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": _PLAYLIST_CACHE if file.content is not None else _SEGMENT_CACHE,
        "ETag": etag,
    }
    if etag in [each.strip().removeprefix("W/") for each in wanted.get("if-none-match", "").split(",")]:
        await Response(None, 304, headers)(scope, receive, send)
        return
    # A range of something else than the client has a part of already is of no use to it (RFC 9110, section 13.1.5).
    same = wanted.get("if-range", etag) == etag
    # Ranges are defined for GET alone (RFC 9110, section 14.2).
    ranged = same and scope["method"] == "GET"
    span = rules.requested_range(wanted.get("range"), file.size_bytes) if ranged else None
    start, end = span or (0, file.size_bytes)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    headers["Content-Length"] = str(end - start)
    headers["Content-Type"] = rules.content_type(file.name)
    if scope["method"] == "HEAD":
        await Response(None, 200, headers)(scope, receive, send)
        return
    await _send(receive, send, file.read(start, end), 206 if span else 200, headers)


async def _find(film: films.Film, name: str) -> File:
    if name not in film.names:
        raise FilmNotFound("this film has no such file")
    playlist = film.stream.playlists.get(name)
    if playlist is not None:
        content = playlist.encode()
        return File(film, name, len(content), content)
    return File(film, name, await films.size_of(film, name), None)


async def _send(
    receive: Receive, send: Send, chunks: AsyncGenerator[bytes, None], status: int, headers: dict[str, str]
) -> None:
    """Send the bytes, and stop reading the store as soon as the client leaves or stalls."""
    pump = asyncio.create_task(_pump(send, chunks, status, headers))
    leaving = asyncio.create_task(_client_left(receive))
    try:
        await asyncio.wait((pump, leaving), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
    finally:
        for task in (pump, leaving):
            task.cancel()
        await asyncio.gather(pump, leaving, return_exceptions=True)


async def _pump(send: Send, chunks: AsyncGenerator[bytes, None], status: int, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    async with aclosing(chunks):
        try:
            # The store answers before the status is sent: afterwards a missing object or an outage cannot be told.
            first = await anext(chunks, b"")
        except ObjectMissing as error:
            raise FilmNotFound("this part of the film is gone") from error
        await send({"type": "http.response.start", "status": status, "headers": raw})
        try:
            async with asyncio.timeout(MAX_STALL_S) as patience:
                await send({"type": "http.response.body", "body": first, "more_body": True})
                patience.reschedule(None)
                async for chunk in chunks:
                    patience.reschedule(asyncio.get_running_loop().time() + MAX_STALL_S)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    # The store's silence has limits of its own.
                    patience.reschedule(None)
        except TimeoutError:
            # Left unfinished, the answer does not look whole.
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
