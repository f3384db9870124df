"""Offers of video_processing: films as things that others use, a purpose of uploads, and permissions."""

from api.media.media.contract import UploadPurpose
from api.media.video_processing import rules
from api.media.video_processing.contract import PurgeVideo, VideoFailed, VideoProcessed
from cluster.data.uses import ThingKind
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.flags import Flag
from cluster.people.notices import Notice, NoticeSource
from cluster.people.topics import Topic, TopicSource

_EDITORS = ("org_owner", "org_admin", "instructor")

TRANSCODING: Flag[bool] = Flag(
    name="video_processing.transcoding", title="Films are processed", default="on", owner="media"
)

OFFERS = (
    TRANSCODING,
    Answers(TopicSource),
    Topic(name=rules.TOPIC, title="The state of a film", permission="video:read", kind="state"),
    Answers(NoticeSource),
    Notice(name="video.ready", title="Your film is ready", event=VideoProcessed, category="teaching"),
    Notice(
        name="video.failed",
        title="Your film could not be processed",
        event=VideoFailed,
        category="teaching",
        severity="high",
    ),
    ThingKind(
        name="video",
        title="film",
        purge=PurgeVideo,
        faults={
            "pending": "the film is still being processed: wait until it is ready",
            "failed": "the film could not be processed: upload another",
            rules.CANCELLED: "the processing of the film was cancelled: start it again or choose another",
        },
    ),
    UploadPurpose(
        name="course-media",
        max_bytes=20 * 1000**3,
        content_types=("video/*", "audio/*"),
        permission="course:edit",
        targets=("course", "run"),
    ),
    Permission("video:create", "Make films of uploads, stop and repeat their processing", _EDITORS),
    Permission("video:delete", "Delete films that nothing uses, and bring them back", _EDITORS),
    Permission("video:hold", "Place a legal hold on a film, and release it", ("org_owner", "org_admin")),
    Permission("video:read", "See films, their state and their posters", (*_EDITORS, "assistant")),
)
