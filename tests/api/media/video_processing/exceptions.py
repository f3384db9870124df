"""What video_processing does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    streamed={
        "video_processing_get_poster": "a picture",
        "video_processing_watch_video": "server-sent events",
    },
    status_too={
        "video_processing_create_video 200": "the upload has a film already",
        "video_processing_watch_video 204": "tells an EventSource to stop",
    },
    short_lists={
        "video_processing_list_uses": "the first hundred places, and the count of the others",
    },
    unnoticed={
        "calls": "answers other services",
    },
)
