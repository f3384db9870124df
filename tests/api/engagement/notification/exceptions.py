"""What notification does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    short_lists={
        "notification_list_deliveries": "a notification has a delivery for each channel",
    },
    unnoticed={"texting.logic": "asks about the caller alone"},
)
