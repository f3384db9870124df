"""Answers `VideoCalls`."""

from api.media.video_processing import rules, store
from api.media.video_processing.contract import Rendition, Stream, Video, VideoCalls, VideoId
from api.media.video_processing.logic import BUCKET
from cluster.base.principal import platform
from cluster.data import read
from cluster.data.objects import bucket
from cluster.people.access import permit

_PLATFORM = platform("video_processing")


class Calls(VideoCalls):
    async def find_video(self, video_id: VideoId) -> Video | None:
        async with read() as db:
            guarded = await store.find_film(db, video_id)
        if guarded is None:
            return None
        film = await permit(_PLATFORM, "video:read", guarded)
        return Video(
            id=film.id, org_id=film.org_id, course_id=film.course_id, state=film.state, duration_s=film.duration_s
        )

    async def find_stream(self, video_id: VideoId) -> Stream | None:
        async with read() as db:
            found = await store.find_playlists(db, video_id)
        if found is None:
            return None
        film = found.film
        assert film.duration_s is not None, "a ready film has a duration: the table checks it"
        return Stream(
            video_id=film.id,
            org_id=film.org_id,
            course_id=film.course_id,
            take=film.take,
            duration_s=film.duration_s,
            bucket=bucket(BUCKET).name,
            key_prefix=rules.hls_prefix(film.id, film.take),
            playlists=found.playlists,
            renditions=[Rendition(**rendition) for rendition in film.renditions],
            poster_key=rules.poster_key(film.id, film.take),
        )
