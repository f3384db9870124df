"""Pieces of films, which executors encode in any process that reaches the object store. They need no database."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from api.media.video_processing.film.encode import EncodedTrack, encode_audio, encode_chunk
from api.media.video_processing.film.fragments import INIT_NAME
from api.media.video_processing.film.ladder import Rendition
from api.media.video_processing.film.segments import CHUNK_S, SEGMENT_S, AudioPlan, Chunk
from api.media.video_processing.transcode import scratch
from api.media.video_processing.transcode.scratch import Source
from cluster.data.objects import PART_BYTES, Bucket

T = TypeVar("T")

_MAX_UPLOADS = 4
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One encode task: a chunk in some renditions, or the sound. Repeating it makes the same objects again."""

    number: int
    folder: str
    """The folder of the film on the machine that encodes; a missing source is fetched."""
    source: Source
    bucket: str
    key_prefix: str
    chunk: Chunk | None = None
    renditions: tuple[Rendition, ...] = ()
    audio: AudioPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How films are divided among workers."""

    chunk_s: float = CHUNK_S
    segment_s: float = SEGMENT_S
    renditions_per_piece: int | None = None
    """None: all, which decodes once and costs least; 1 spreads furthest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmPlan:
    """All pieces of one film. It outlives its coordinator: the next one goes on with it."""

    source: Source
    renditions: tuple[Rendition, ...]
    chunks: tuple[Chunk, ...]
    audio: AudioPlan | None
    renditions_per_piece: int

    def pieces(self, folder: str, bucket: str, key_prefix: str) -> list[Piece]:
        """Return the film's pieces, the sound first: it takes longest."""
        parts: list[tuple[Chunk | None, tuple[Rendition, ...], AudioPlan | None]] = []
        if self.audio is not None:
            parts.append((None, (), self.audio))
        step = self.renditions_per_piece
        parts += [
            (chunk, self.renditions[first : first + step], None)
            for chunk in self.chunks
            for first in range(0, len(self.renditions), step)
        ]
        return [
            Piece(
                number=number,
                folder=folder,
                source=self.source,
                bucket=bucket,
                key_prefix=key_prefix,
                chunk=chunk,
                renditions=renditions,
                audio=audio,
            )
            for number, (chunk, renditions, audio) in enumerate(parts)
        ]


class Executor(Protocol):
    """Encodes pieces somewhere."""

    @property
    def cut(self) -> Cut: ...

    @property
    def max_concurrent(self) -> int:
        """Return how many pieces of a film it takes at a time."""
        ...

    async def run(self, piece: Piece) -> tuple[EncodedTrack, ...]:
        """Encode a piece and return its tracks, none for a sound track without sound. Cancelling this ends the work.

        Raises:
            UnplayableFilm: for good.
            EncodingFailed, OSError, Unavailable: it may be repeated.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """Encodes on this machine, in child processes of this one."""

    cut: Cut = Cut()
    max_concurrent: int = 2

    async def run(self, piece: Piece) -> tuple[EncodedTrack, ...]:
        return await encode_piece(piece)


async def encode_piece(piece: Piece) -> tuple[EncodedTrack, ...]:
    """Encode a piece and store its segments.

    Raises:
        UnplayableFilm, EncodingFailed, OSError, Unavailable
    """
    folder = scratch.film_folder(piece.folder)
    source = await scratch.fetch(piece.source, folder)
    out = Path(tempfile.mkdtemp(prefix="piece-", dir=folder))
    try:
        if piece.chunk is not None:
            tracks = await encode_chunk(source, piece.chunk, piece.renditions, out)
        else:
            assert piece.audio is not None, "a piece is a chunk or the sound"
            sound = await encode_audio(source, piece.audio, out)
            tracks = () if sound is None else (sound,)
        await _store(piece, tracks, out)
        return tracks
    finally:
        await asyncio.to_thread(shutil.rmtree, out, ignore_errors=True)


async def _store(piece: Piece, tracks: tuple[EncodedTrack, ...], out: Path) -> None:
    bucket = Bucket(piece.bucket)

    async def put(path: Path) -> None:
        key = f"{piece.key_prefix}{path.parent.name}/{path.name}"
        if (await asyncio.to_thread(path.stat)).st_size <= PART_BYTES:
            await bucket.put(key, await asyncio.to_thread(path.read_bytes), content_type="video/mp4")
        else:
            await bucket.write_stream(key, read_file(path), content_type="video/mp4")

    files = [out / track.name / segment.file_name for track in tracks for segment in track.segments]
    # The init segment is the same for all chunks of a rendition, so the first one's is enough.
    files += [out / track.name / INIT_NAME for track in tracks if track.chunk == 0]
    await run_concurrently(put, files, _MAX_UPLOADS)


async def run_concurrently(do: Callable[[T], Awaitable[None]], things: Iterable[T], limit: int) -> None:
    """Run `do` on each of the things, `limit` at a time; the first failure cancels the rest and is raised as it is."""
    room = asyncio.Semaphore(limit)

    async def one(thing: T) -> None:
        async with room:
            await do(thing)

    tasks = [asyncio.create_task(one(thing)) for thing in things]
    try:
        # Wakes on the first failure; waiting for them in order would meet it late.
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_file(path: Path) -> AsyncGenerator[bytes, None]:
    """Stream a file without holding up the event loop."""
    file = await asyncio.to_thread(path.open, "rb")
    with file:
        while block := await asyncio.to_thread(file.read, _READ_BYTES):
            yield block
