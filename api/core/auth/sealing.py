"""Seal secrets that rest in the database, and derive those that need not rest anywhere, from HUB_SECRET."""

import hashlib
import hmac
import os
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.base.settings import settings

_NONCE_BYTES = 12


class SealBroken(Exception):
    """It was sealed under another secret, for another purpose, or changed."""


@cache
def _key(purpose: str) -> bytes:
    """Derive a key for one purpose (RFC 5869)."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"auth {purpose}".encode()).derive(settings().secret.encode())


def seal(purpose: str, content: bytes) -> bytes:
    """Encrypt and authenticate (AES-256-GCM, NIST SP 800-38D)."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(_key(purpose)).encrypt(nonce, content, purpose.encode())


def unseal(purpose: str, sealed: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        SealBroken
    """
    try:
        return AESGCM(_key(purpose)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):
        raise SealBroken(f"cannot unseal what was sealed for {purpose}: HUB_SECRET differs") from None


def mac(purpose: str, content: bytes) -> bytes:
    """Authenticate with a key of this purpose (HMAC-SHA-256, RFC 2104)."""
    return hmac.digest(_key(purpose), content, "sha256")


def sha256(token: str) -> bytes:
    """Hash a token of full entropy: it needs no salt and no slowness."""
    return hashlib.sha256(token.encode()).digest()
