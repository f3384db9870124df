"""Signing keys: made ahead, known everywhere before they sign, sealed at rest."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.core.auth.sealing import SealBroken, seal, unseal
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.data import Transaction, read, write
from cluster.people import identity
from cluster.signals import broadcast

log = logging.getLogger(__name__)

SIGNS = timedelta(days=30)
AHEAD = timedelta(days=2)
"""A key is public this long before it signs: no process can meet a token of a key that it could not have heard of."""
_OUTLIVES = timedelta(hours=1)
_SKEW = timedelta(minutes=1)
_KEPT_S = 60.0
_PURPOSE = "signing key"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    kid: str
    sealed: bytes
    public_key: bytes
    signs_from: datetime
    signs_until: datetime


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    private: Ed25519PrivateKey
    signs_until: datetime


LIST_KEYS = """
SELECT kid, sealed, public_key, signs_from, signs_until FROM auth.signing_keys
WHERE withdrawn_at IS NULL ORDER BY signs_from DESC LIMIT 20
"""
INSERT_KEY = """
INSERT INTO auth.signing_keys (kid, sealed, public_key, signs_from, signs_until, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
WITHDRAW_KEY = "UPDATE auth.signing_keys SET withdrawn_at = $2 WHERE kid = $1"
DELETE_KEYS = "DELETE FROM auth.signing_keys WHERE signs_until < $1"

_current: SigningKey | None = None
_kept_until = 0.0
_loading = asyncio.Lock()


async def signing_key() -> SigningKey:
    """Return the key that signs now; the very first is made here."""
    global _current, _kept_until
    now = datetime.now(UTC)
    if _current is not None and _current.signs_until > now and time.monotonic() < _kept_until:
        return _current
    async with _loading:
        if _current is not None and _current.signs_until > now and time.monotonic() < _kept_until:
            return _current
        broadcast.listen("identity", _on_identity)
        async with read() as db:
            found = _usable(await db.all(StoredKey, LIST_KEYS), now)
        if found is None:
            await rotate(now=now)
            async with read() as db:
                found = _usable(await db.all(StoredKey, LIST_KEYS), now)
        if found is None:
            raise RuntimeError("no signing key in spite of making one")
        _current, _kept_until = found, time.monotonic() + _KEPT_S
        return found


async def _on_identity(message: dict[str, Any]) -> None:
    """Load again when keys changed: one may have been withdrawn."""
    global _kept_until
    if message["kind"] == "keys":
        _kept_until = 0.0


def _usable(keys: Sequence[StoredKey], now: datetime) -> SigningKey | None:
    for key in keys:
        if key.signs_from <= now < key.signs_until:
            try:
                private = Ed25519PrivateKey.from_private_bytes(unseal(_PURPOSE, key.sealed))
            except SealBroken as error:
                log.warning("a signing key cannot be read", extra={"kid": key.kid, "error": str(error)})
            else:
                return SigningKey(key.kid, private, key.signs_until)
    return None


async def rotate(*, now: datetime) -> list[str]:
    """Make the keys that are missing, for now and for later, and return their names. Twins make them once."""
    made: list[str] = []
    async with write(platform("auth")) as tx:
        await tx.take_turns("auth.signing_keys")
        keys = await tx.all(StoredKey, LIST_KEYS)
        current = _usable(keys, now)
        if current is None:
            until = now + SIGNS
            made.append(await _make(tx, now - _SKEW, until))
        else:
            until = current.signs_until
        if until - now <= AHEAD and _usable(keys, until) is None:
            # Overlaps by the skew: while clocks differ, both may sign.
            made.append(await _make(tx, until - _SKEW, until + SIGNS))
        await tx.run(DELETE_KEYS, now - _OUTLIVES)
    return made


async def _make(tx: Transaction, signs_from: datetime, signs_until: datetime) -> str:
    private = Ed25519PrivateKey.generate()
    kid = new_id().hex
    public = private.public_key()
    sealed = seal(_PURPOSE, private.private_bytes_raw())
    await tx.run(INSERT_KEY, kid, sealed, public.public_bytes_raw(), signs_from, signs_until, tx.now)
    await identity.publish_key(
        tx, kid, public, not_before=min(signs_from, tx.now) - _SKEW, not_after=signs_until + _OUTLIVES
    )
    return kid


async def withdraw(tx: Transaction, kid: str) -> None:
    """Let a key that may be known to others neither sign nor count, at once. Tokens that it signed end with it."""
    await tx.run(WITHDRAW_KEY, kid, tx.now)
    await identity.retire_key(tx, kid, not_after=tx.now)
