"""Find the objects of ready films. Answers are kept by this process: a ready film never changes."""

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar
from uuid import UUID

from api.media.video_processing.contract import Stream, VideoCalls, VideoId
from api.media.video_streaming import rules
from api.media.video_streaming.contract import FilmNotFound
from cluster.data.objects import Bucket
from cluster.people.calls import client

K = TypeVar("K")
V = TypeVar("V")

_FILM_TTL_S = 60.0
"""A deleted film is played no longer than this."""


class LruCache(Generic[K, V]):
    """Keeps the values used last, each for `ttl_s`, as long as all together weigh at most `max_weight`."""

    def __init__(self, max_weight: int, ttl_s: float) -> None:
        self._max_weight = max_weight
        self._ttl_s = ttl_s
        self._kept: OrderedDict[K, tuple[float, V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        kept = self._kept.get(key)
        if kept is None or kept[0] <= monotonic():
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        before = self._kept.pop(key, None)
        self._kept[key] = (monotonic() + self._ttl_s, value, weight)
        self._weight += weight - (before[2] if before else 0)
        while self._weight > self._max_weight and len(self._kept) > 1:
            self._weight -= self._kept.popitem(last=False)[1][2]

    def drop(self, key: K) -> None:
        kept = self._kept.pop(key, None)
        self._weight -= kept[2] if kept else 0

    def clear(self) -> None:
        self._kept.clear()
        self._weight = 0


@dataclass(frozen=True, slots=True)
class Film:
    """A ready film: its playlists, and the names that its address answers."""

    stream: Stream
    names: frozenset[str]

    @property
    def bucket(self) -> Bucket:
        return Bucket(self.stream.bucket)

    def key(self, name: str) -> str:
        return self.stream.key_prefix + name


# Weighed by the number of files: an hour of film has thousands, each of about 200 bytes here.
_films: LruCache[UUID, Film] = LruCache(200_000, _FILM_TTL_S)
_sizes: LruCache[tuple[str, str], int] = LruCache(100_000, 24 * 3600)


async def get_film(video_id: UUID) -> Film:
    """Return a ready film.

    Raises:
        FilmNotFound: there is none, or it was taken away.
    """
    film = _films.get(video_id)
    if film is None:
        stream = await client(VideoCalls).find_stream(VideoId(video_id))
        if stream is None:
            raise FilmNotFound
        film = Film(stream, rules.file_names(stream.playlists))
        _films.put(video_id, film, len(film.names))
    return film


async def size_of(film: Film, name: str) -> int:
    """Return the size of a segment.

    Raises:
        FilmNotFound: the store does not have it.
        Unavailable
    """
    key = film.key(name)
    size = _sizes.get((film.stream.bucket, key))
    if size is None:
        stored = await film.bucket.head(key)
        if stored is None:
            raise FilmNotFound("this part of the film is gone")
        size = stored.size_bytes
        _sizes.put((film.stream.bucket, key), size)
    return size


def forget() -> None:
    """Forget all films: they are asked for again."""
    _films.clear()
    _sizes.clear()
