"""Keys by purpose, derived from the deployment's secrets: who learns one key learns nothing of the others.

`HUB_SECRET` lists secrets by key id, newest first. The newest makes; all of them verify and open, so that a secret is
rotated by listing a new one before it.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.base.settings import settings

KEY_BYTES = 32


def key(purpose: str) -> bytes:
    """Return the 32 bytes that sign or seal for this purpose now."""
    return next(iter(keys(purpose).values()))


def keys(purpose: str, *, plain_digest: bool = False) -> Mapping[str, bytes]:
    """Return the keys of a purpose by key id, newest first: to verify and open what an earlier one made.

    `plain_digest`: a secret without an id gives SHA-256 of purpose and secret. For data that were stored so before keys had ids.
    """
    return {
        id: _digest(purpose, secret) if plain_digest and id == "" else _derive(purpose, secret)
        for id, secret in settings().secrets.items()
    }


@lru_cache(maxsize=1024)
def _derive(purpose: str, secret: str) -> bytes:
    """Derive a key (RFC 5869, HKDF-SHA256 without a salt)."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(secret.encode())


def _digest(purpose: str, secret: str) -> bytes:
    return hashlib.sha256(f"{purpose} {secret}".encode()).digest()
