"""What media does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    streamed={
        "media_get_content": "the bytes of a file",
    },
    status_too={
        "media_get_content 206": "a range",
    },
    short_lists={
        "media_list_uses": "the first hundred places, and the count of the others",
    },
    no_id_filter={
        "media_list_assets": "ids of files are kept by who uses them; listing is by target",
    },
)
