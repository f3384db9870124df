"""What video_streaming does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    unnoticed={
        "standing": "asks for whoever holds an address; tests of its own take rights away",
    },
)
