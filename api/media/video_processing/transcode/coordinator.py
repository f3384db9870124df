"""Take one film from its upload to ready: fetch, probe, plan, have the pieces encoded, package.

Finished pieces stand in the database, so that the coordinator after a killed one encodes only the rest. While it works it
shows that it lives, and finds within a second that its film was cancelled or taken over.
"""

import asyncio
import logging
from pathlib import Path
from uuid import UUID

from api.media.media.contract import MediaCalls
from api.media.video_processing import logic, rules
from api.media.video_processing.contract import RemoveFilmObjects, Rendition, VideoId, VideoProcessed
from api.media.video_processing.film.encode import AUDIO_NAME, extract_poster, remux
from api.media.video_processing.film.faults import EncodingFailed, UnplayableFilm
from api.media.video_processing.film.hls import PackagedFilm, package
from api.media.video_processing.film.ladder import ladder
from api.media.video_processing.film.probe import probe
from api.media.video_processing.film.segments import plan
from api.media.video_processing.store import Film
from api.media.video_processing.transcode import scratch, store
from api.media.video_processing.transcode.pieces import Executor, FilmPlan, Piece, read_file, run_concurrently
from api.media.video_processing.transcode.scratch import Source
from api.media.video_processing.transcode.store import Tracks
from cluster.base.ids import new_id
from cluster.data import read, write
from cluster.data.objects import bucket
from cluster.events import emit
from cluster.jobs import JobRun, LeaseLost, enqueue
from cluster.people.calls import client

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 1.0
"""The interval at which the coordinator shows that it lives and its progress, and checks that the film is still its own."""
_HEARTBEATS_PER_EXTENSION = 10
_MAX_ATTEMPTS = 3
"""Per piece and coordinator: an encoder that is killed or hangs."""
_SOUND_WEIGHT = 0.05


class _NotMine(Exception):
    """The film was cancelled, or another coordinator works on it."""


class _UploadGone(Exception):
    """The asset is not there any more."""


class _PiecesDoNotFit(Exception):
    """The pieces do not make one film."""


async def transcode(run: JobRun, video_id: VideoId, executor: Executor) -> None:
    """Process a film. Return when it is ready, has failed for good, or has another coordinator.

    Raises:
        Exception: something outside the film failed; another attempt goes on from there.
    """
    coordinator = new_id()
    async with write(run.principal) as tx:
        film = await store.update_begun(tx, video_id, coordinator)
        if film is None:
            return
        await logic.changed(tx, film)
    await Coordinator(run, film, coordinator, executor).run()


class Coordinator:
    """One attempt at one film."""

    def __init__(self, run: JobRun, film: Film, coordinator: UUID, executor: Executor) -> None:
        self._run = run
        self._film = film
        self._id = coordinator
        self._executor = executor
        self._folder = f"{film.id}-{coordinator}"
        self._done_weight = 0.0
        self._weights: dict[int, float] = {}
        self._shown_progress = film.progress

    async def run(self) -> None:
        """Process while the film is ours, and record how it ended."""
        await asyncio.to_thread(scratch.remove, f"{self._film.id}-")
        try:
            await self._process_watched()
        except _NotMine:
            log.info("film stopped", extra={"video": str(self._film.id)})
        except UnplayableFilm as fault:
            await self._fail(fault.code, fault.detail, retryable=False)
        except _UploadGone:
            await self._fail(rules.UPLOAD_GONE, rules.UPLOAD_GONE_DETAIL, retryable=False)
        except EncodingFailed as fault:
            log.error("film failed", extra={"video": str(self._film.id), "code": fault.code, "detail": fault.detail})
            await self._fail(rules.PROCESSING_FAILED, rules.PROCESSING_FAILED_DETAIL, retryable=True)
        except LeaseLost:
            raise
        except Exception as error:
            if self._run.is_final(error):
                await self._fail(rules.PROCESSING_FAILED, rules.PROCESSING_FAILED_DETAIL, retryable=True)
            else:
                await self._let_go()
            raise
        finally:
            await asyncio.shield(asyncio.to_thread(scratch.remove, self._folder))

    async def _process_watched(self) -> None:
        both = (asyncio.create_task(self._process()), asyncio.create_task(self._watch()))
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in ended:
                each.result()
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _watch(self) -> None:
        heartbeats = 0
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)
            heartbeats += 1
            if heartbeats % _HEARTBEATS_PER_EXTENSION == 0:
                await self._run.extend()
            progress = rules.progress(self._done_weight, list(self._weights.values())) if self._weights else 0.0
            if progress > self._shown_progress:
                async with write(self._run.principal) as tx:
                    film = _mine(await store.update_progress(tx, self._film.id, self._id, progress))
                    logic.tell_change(tx, film)
                self._shown_progress = progress
            else:
                async with read() as db:
                    if not await store.update_seen_alive(db, self._film.id, self._id):
                        raise _NotMine

    async def _process(self) -> None:
        async with read() as db:
            planned = await store.find_plan(db, self._film.id)
            done = await store.list_done(db, self._film.id)
        planned = planned or await self._plan()
        pieces = self._pieces(planned)
        self._weights = {piece.number: _weight(piece, len(planned.renditions)) for piece in pieces}
        self._done_weight = sum(self._weights[number] for number in done)

        async def encode(piece: Piece) -> None:
            done[piece.number] = await self._encode(piece)
            self._done_weight += self._weights[piece.number]

        missing = [piece for piece in pieces if piece.number not in done]
        await run_concurrently(encode, missing, self._executor.max_concurrent)
        await self._publish(planned, await self._package(planned, done))

    def _pieces(self, planned: FilmPlan) -> list[Piece]:
        prefix = rules.hls_prefix(self._film.id, self._film.take)
        return planned.pieces(self._folder, bucket(logic.BUCKET).name, prefix)

    async def _plan(self) -> FilmPlan:
        source = await self._upload()
        folder = await asyncio.to_thread(scratch.film_folder, self._folder)
        path = await scratch.fetch(source, folder)
        found = await probe(path)
        if found.needs_remux:
            source = await self._copy(path, folder)
            found = await probe(path)
        cut = self._executor.cut
        work = plan(found, chunk_s=cut.chunk_s, segment_s=cut.segment_s)
        poster = folder / "poster.jpg"
        await extract_poster(path, found, work, poster)
        await bucket(logic.BUCKET).put(
            rules.poster_key(self._film.id, self._film.take),
            await asyncio.to_thread(poster.read_bytes),
            content_type="image/jpeg",
        )
        renditions = ladder(found)
        planned = FilmPlan(
            source=source,
            renditions=renditions,
            chunks=work.chunks,
            audio=work.audio,
            renditions_per_piece=cut.renditions_per_piece or len(renditions),
        )
        async with write(self._run.principal) as tx:
            film = await store.insert_plan(tx, self._film.id, self._id, planned, pieces=len(self._pieces(planned)))
            logic.tell_change(tx, _mine(film))
        return planned

    async def _upload(self) -> Source:
        asset = await client(MediaCalls).find_asset(self._film.asset_id)
        if asset is None or asset.object_key is None:
            raise _UploadGone
        return Source(bucket=asset.bucket, key=asset.object_key, size_bytes=asset.size_bytes)

    async def _copy(self, path: Path, folder: Path) -> Source:
        """Put the film, unchanged, into a container that can be cut exactly: here, and where other machines fetch it."""
        copy = folder / "copy.mkv"
        await remux(path, copy)
        key = rules.copied_source_key(self._film.id, self._film.take)
        films = bucket(logic.BUCKET)
        size = await films.write_stream(key, read_file(copy), content_type="video/x-matroska")
        copy.replace(path)
        return Source(bucket=films.name, key=key, size_bytes=size)

    async def _encode(self, piece: Piece) -> Tracks:
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            async with read() as db:
                if not await store.update_piece_begun(db, self._film.id, piece.number, self._id):
                    raise _NotMine
            try:
                tracks = await self._executor.run(piece)
                break
            except EncodingFailed as fault:
                place = {"video": str(self._film.id), "piece": piece.number, "attempt": attempt}
                log.warning("piece failed", extra=place | {"code": fault.code, "detail": fault.detail})
                if attempt == _MAX_ATTEMPTS:
                    raise
        else:
            raise AssertionError("unreachable")
        async with read() as db:
            if not await store.update_piece_done(db, self._film.id, piece.number, self._id, tracks):
                raise _NotMine
        return tracks

    async def _package(self, planned: FilmPlan, done: dict[int, Tracks]) -> PackagedFilm:
        tracks = [track for each in done.values() for track in each]
        sound = next((track for track in tracks if track.name == AUDIO_NAME), None)
        pictures = [track for track in tracks if track.name != AUDIO_NAME]
        try:
            film = await asyncio.to_thread(package, planned.renditions, pictures, sound)
        except EncodingFailed as fault:
            # Different versions of the encoder may have made them: the next attempt cuts and encodes all of it again.
            async with write(self._run.principal) as tx:
                await store.delete_plan(tx, self._film.id, self._id)
            raise _PiecesDoNotFit(str(fault)) from fault
        films = bucket(logic.BUCKET)
        prefix = rules.hls_prefix(self._film.id, self._film.take)
        for path, text in film.playlists.items():
            await films.put(f"{prefix}{path}", text.encode(), content_type="application/vnd.apple.mpegurl")
        return film

    async def _publish(self, planned: FilmPlan, packaged: PackagedFilm) -> None:
        renditions = [
            Rendition(height=each.height, width=each.width, bitrate_bps=each.peak_bps, codecs=each.codecs)
            for each in packaged.renditions
        ]
        copied = rules.copied_source_key(self._film.id, self._film.take)
        async with write(self._run.principal) as tx:
            film = _mine(
                await store.update_ready(
                    tx,
                    self._film.id,
                    self._id,
                    duration_s=packaged.duration_s,
                    renditions=renditions,
                    playlists=packaged.playlists,
                )
            )
            event = VideoProcessed(
                video_id=film.id,
                org_id=film.org_id,
                course_id=film.course_id,
                take=film.take,
                duration_s=packaged.duration_s,
                heights=tuple(each.height for each in renditions),
                size_bytes=packaged.size_bytes,
            )
            emit(tx, event, version=film.version)
            if planned.source.key == copied:
                enqueue(tx, RemoveFilmObjects(prefix=copied))
            await logic.changed(tx, film)

    async def _fail(self, code: str, detail: str, *, retryable: bool) -> None:
        async with write(self._run.principal) as tx:
            film = await store.update_failed(tx, self._film.id, self._id, code=code, detail=detail, retryable=retryable)
            if film is not None:
                await logic.tell_failed(tx, film)

    async def _let_go(self) -> None:
        async with write(self._run.principal) as tx:
            film = await store.update_queued_again(tx, self._film.id, self._id)
            if film is not None:
                await logic.changed(tx, film)


def _mine(film: Film | None) -> Film:
    if film is None:
        raise _NotMine
    return film


def _weight(piece: Piece, renditions: int) -> float:
    """Return about how long a piece takes, beside the others."""
    if piece.audio is not None:
        return piece.audio.duration_s * _SOUND_WEIGHT
    assert piece.chunk is not None
    return piece.chunk.duration_s * len(piece.renditions) / renditions
