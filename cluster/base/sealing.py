"""Seal secrets for the database, and authenticate texts, with keys of a service for a purpose."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cluster.base import secrets

_NONCE_BYTES = 12


class SealBroken(Exception):
    """The content was sealed under another secret or for another purpose, or it was changed."""


def seal(service: str, purpose: str, content: bytes) -> bytes:
    """Encrypt and authenticate (AES-256-GCM, NIST SP 800-38D)."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(secrets.key(f"{service} {purpose}")).encrypt(nonce, content, purpose.encode())


def unseal(service: str, purpose: str, sealed: bytes) -> bytes:
    """Return the content that was sealed under the newest secret or a former one.

    Raises:
        SealBroken
    """
    for key in secrets.keys(f"{service} {purpose}").values():
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            continue
    raise SealBroken(f"cannot unseal what {service} sealed for {purpose}: HUB_SECRET lists another secret")


def macs(service: str, purpose: str, content: bytes) -> list[bytes]:
    """Authenticate with the keys of this purpose, the newest first (HMAC-SHA-256, RFC 2104)."""
    return [hmac.digest(key, content, "sha256") for key in secrets.keys(f"{service} {purpose}").values()]


def mac(service: str, purpose: str, content: bytes) -> bytes:
    """Authenticate with the newest key of this purpose."""
    return macs(service, purpose, content)[0]


def sha256(token: str) -> bytes:
    """Hash a token of full entropy: it needs no salt and no slowness."""
    return hashlib.sha256(token.encode()).digest()
