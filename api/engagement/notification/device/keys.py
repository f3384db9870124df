"""Key files that an operator names for FCM and APNs: one that cannot be used stops messages of its kind alone."""

import logging
import time
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

Key = TypeVar("Key")
log = logging.getLogger(__name__)
WAIT_S = 60.0
"""How long to wait when a refusal does not say. Source: Firebase, "Throttling and quotas"."""
_TELL_AGAIN_S = 3600.0
_told: dict[str, float] = {}


class KeyUnusable(Exception):
    """What a setting names cannot be used now."""


def private_key(pem: bytes, kind: type[Key]) -> Key:
    """Return the key of a PEM.

    Raises:
        ValueError: there is none of this kind, or it is locked by a password.
    """
    try:
        found = load_pem_private_key(pem, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, kind):
        raise ValueError("it is a key of another kind")
    return found


def tell_unusable(error: KeyUnusable) -> None:
    """Tell operators, once an hour for each setting: every message to an app comes here."""
    text, now = str(error), time.monotonic()
    if now - _told.get(text, -_TELL_AGAIN_S) >= _TELL_AGAIN_S:
        _told[text] = now
        log.error(text, exc_info=error)
