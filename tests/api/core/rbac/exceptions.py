"""What rbac does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    status_too={
        "rbac_create_grant 200": "granted already",
    },
)
