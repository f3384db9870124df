"""Find the objects of ready films. Answers are kept by this process: a ready film never changes."""

from dataclasses import dataclass
from uuid import UUID

from api.media.video_processing.contract import Stream, VideoCalls, VideoId
from api.media.video_streaming import rules
from api.media.video_streaming.contract import FilmNotFound
from cluster.data.objects import Bucket
from cluster.people.calls import client
from cluster.signals.kept import Kept

_FILM_TTL_S = 60.0
"""A deleted film is played no longer than this."""


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
_TOPIC = "video_streaming.films"
"""Nobody says anything on it: what is kept does not change, and a process that missed news forgets it."""
_films: Kept[UUID, Film] = Kept(_TOPIC, size=200_000, ttl_s=_FILM_TTL_S, weigh=lambda film: len(film.names))
"""Weighed by the number of files: an hour of film has thousands, each of about 200 bytes here."""
_sizes: Kept[tuple[str, str], int] = Kept(_TOPIC, size=100_000, ttl_s=24 * 3600)


async def get_film(video_id: UUID) -> Film:
    """Return a ready film.

    Raises:
        FilmNotFound: there is none, or it was taken away.
    """

    async def load() -> Film:
        stream = await client(VideoCalls).find_stream(VideoId(video_id))
        if stream is None:
            raise FilmNotFound
        return Film(stream, rules.file_names(stream.playlists))

    return await _films.get(video_id, load)


async def size_of(film: Film, name: str) -> int:
    """Return the size of a segment.

    Raises:
        FilmNotFound: the store does not have it.
        Unavailable
    """

    async def load() -> int:
        stored = await film.bucket.head(film.key(name))
        if stored is None:
            raise FilmNotFound("this part of the film is gone")
        return stored.size_bytes

    return await _sizes.get((film.stream.bucket, film.key(name)), load)


def forget() -> None:
    """Forget all films: they are asked for again."""
    _films.forget()
    _sizes.forget()
