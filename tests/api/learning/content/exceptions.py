"""What content does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "content_list_block_types": "what the code declares is no secret",
    },
    short_lists={
        "content_list_block_types": "as many as the code declares",
    },
)
