"""What video processing contributes: the purpose that films are uploaded for, and what may be done with films."""

from api.media.media.contract import UploadPurpose
from cluster.people.access import Permission

_EDITORS = ("org_owner", "org_admin", "instructor")

OFFERS = (
    UploadPurpose(
        name="course-media",
        max_bytes=20 * 1000**3,
        content_types=("video/*", "audio/*"),
        permission="course:edit",
        targets=("course", "run"),
    ),
    Permission("video:create", "Make films of uploads, stop and repeat their processing", _EDITORS),
    Permission("video:read", "See films, their state and their posters", (*_EDITORS, "assistant")),
)
