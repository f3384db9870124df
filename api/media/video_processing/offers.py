"""What video processing contributes: the purpose that films are uploaded for."""

from api.media.media.contract import UploadPurpose

OFFERS = (
    UploadPurpose(
        name="course-media",
        max_bytes=20 * 1000**3,
        content_types=("video/*", "audio/*"),
        permission="course:edit",
        targets=("course", "run"),
    ),
)
