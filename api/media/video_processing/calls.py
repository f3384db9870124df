"""Answers `VideoCalls`, and leaves about films."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from api.media.video_processing import rules, store
from api.media.video_processing.contract import Rendition, Stream, Video, VideoCalls, VideoId
from api.media.video_processing.logic import BUCKET
from api.media.video_processing.view import VideoView
from cluster.base.ids import UserId
from cluster.base.principal import platform
from cluster.data import read
from cluster.data.objects import bucket
from cluster.people.access import permit
from cluster.people.notices import NoticeSource, NoticeText, Reader, only
from cluster.people.topics import After, Standing, TopicMessage, TopicSource
from cluster.people.wording import find, worded

_PLATFORM = platform("video_processing")


class Calls(VideoCalls, NoticeSource, TopicSource):
    async def standing(self, topic: str, ids: list[UUID]) -> list[Standing]:  # noqa: ARG002 (there is one)
        async with read() as db:
            return await store.list_standing(db, ids)

    async def since(self, topic: str, after: list[After], limit: int) -> list[TopicMessage]:  # noqa: ARG002 (as above)
        async with read() as db:
            films = await store.list_films_after(db, after)
        return [
            TopicMessage(
                id=film.id,
                seq=film.version,
                kind="video",
                at=film.updated_at,
                data=VideoView.of(film).model_dump(mode="json"),
            )
            for film in films
        ]

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

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002
        async with read() as db:
            return only(await store.find_author(db, VideoId(UUID(event["video_id"]))), after)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        async with read() as db:
            guarded = await store.find_film(db, VideoId(UUID(event["video_id"])))
        film = None if guarded is None else await permit(_PLATFORM, "video:read", guarded)
        if film is None or film.state != ("ready" if notice == "video.ready" else "failed"):
            return []
        url = f"/courses/{film.course_id}/videos/{film.id}"
        told = worded("video_processing", notice, readers, url=url, org_id=film.org_id, course_id=film.course_id)
        if film.error is None:
            return told
        return [
            replace(text, body=find("video_processing", "fault", film.error.code, reader) or film.error.detail)
            for text, reader in zip(told, readers, strict=True)
        ]
