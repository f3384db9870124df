"""What user does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "user_sign_up": "how one gets an account",
        "user_get_privacy_report": "who is erased cannot sign in; the token is what it asks for",
    },
    streamed={
        "user_get_privacy_archive": "the bytes of an archive",
    },
    no_idempotency_key={
        "user_change_email": "takes a password",
        "user_resend_verification": "mails again, at most as often as the throttle allows",
        "user_verify_email": "the token is its key",
    },
)
