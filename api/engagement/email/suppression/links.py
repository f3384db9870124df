"""Links by which the reader of a letter unsubscribes: whoever holds the letter may, without a session (RFC 8058)."""

import base64
import hmac
from uuid import UUID

from cluster.base.sealing import macs
from cluster.base.settings import settings

_PURPOSE = "unsubscribe"
_MAC_BYTES = 16


def token_of(letter_id: UUID) -> str:
    return f"{letter_id.hex}.{_codes(letter_id)[0]}"


def unsubscribe_url(letter_id: UUID) -> str:
    return f"{settings().public_url}/v1/emails/-/unsubscribe?token={token_of(letter_id)}"


def letter_of_token(token: str) -> UUID | None:
    """Return the letter whose link this is; None when we did not make it."""
    text, _, code = token.partition(".")
    if len(text) != 32 or not token.isascii():
        return None
    try:
        letter_id = UUID(hex=text)
    except ValueError:
        return None
    return letter_id if any(hmac.compare_digest(each, code) for each in _codes(letter_id)) else None


def _codes(letter_id: UUID) -> list[str]:
    return [
        base64.b32encode(mac[:_MAC_BYTES]).decode().strip("=").lower()
        for mac in macs("email", _PURPOSE, letter_id.bytes)
    ]
