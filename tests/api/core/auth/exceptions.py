"""What auth does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "auth_sign_in": "how one gets a token",
        "auth_refresh": "the refresh token is what it asks for",
        "auth_forgot": "who forgot cannot sign in",
        "auth_reset": "the mailed token is what it asks for",
    },
    other_status={
        "auth_forgot 204": "nothing may be told",
        "auth_reset 204": "nobody is signed in by it",
    },
    no_idempotency_key={
        "auth_sign_in": "answers a secret, which is not kept to be told again",
        "auth_refresh": "answers a secret",
        "auth_reauthenticate": "answers a secret",
        "auth_make_ticket": "answers a secret",
        "auth_change_password": "no trace of a password is kept",
        "auth_forgot": "repeating it mails again, at most as often as the throttle allows",
        "auth_reset": "a link works once",
    },
    may_scan={
        "signing_key.store.LIST_KEYS": "a handful of rows",
        "signing_key.store.DELETE_KEYS": "a handful of rows",
    },
    unnoticed={
        "identity.logic": "has no ids: everybody asks about themselves",
    },
)
