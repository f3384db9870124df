"""Signing keys: made ahead, published before they sign, stored sealed."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.core.auth.signing_key import store
from api.core.auth.signing_key.store import StoredKey
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.base.sealing import SealBroken, seal, unseal
from cluster.data import Transaction, read, write
from cluster.people import identity
from cluster.signals import broadcast

log = logging.getLogger(__name__)

SIGNING_PERIOD = timedelta(days=30)
PUBLISHED_AHEAD = timedelta(days=2)
"""A key is public this long before it signs, so that every process knows the key of every token."""
_VERIFIES_AFTERWARDS = timedelta(hours=1)
_CLOCK_SKEW = timedelta(minutes=1)
_CACHE_TTL_S = 60.0
_PURPOSE = "signing key"


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    private: Ed25519PrivateKey
    signs_until: datetime


_current: SigningKey | None = None
_cached_until = 0.0
_loading = asyncio.Lock()


async def signing_key() -> SigningKey:
    """Return the key that signs now. The first one is made here."""
    global _current, _cached_until
    now = datetime.now(UTC)
    if _current is not None and _current.signs_until > now and time.monotonic() < _cached_until:
        return _current
    async with _loading:
        if _current is not None and _current.signs_until > now and time.monotonic() < _cached_until:
            return _current
        broadcast.listen("identity", _on_identity)
        async with read() as db:
            found = _usable(await store.list_keys(db), now)
        if found is None:
            await rotate(now=now)
            async with read() as db:
                found = _usable(await store.list_keys(db), now)
        if found is None:
            raise RuntimeError("no signing key in spite of making one")
        _current, _cached_until = found, time.monotonic() + _CACHE_TTL_S
        return found


async def _on_identity(message: dict[str, Any]) -> None:
    """Load the key again after a change of keys: it may be withdrawn."""
    global _cached_until
    if message["kind"] == "keys":
        _cached_until = 0.0


def _usable(keys: Sequence[StoredKey], now: datetime) -> SigningKey | None:
    for key in keys:
        if key.signs_from <= now < key.signs_until:
            try:
                private = Ed25519PrivateKey.from_private_bytes(unseal("auth", _PURPOSE, key.sealed))
            except SealBroken as error:
                log.warning("a signing key cannot be read", extra={"kid": key.kid, "error": str(error)})
            else:
                return SigningKey(key.kid, private, key.signs_until)
    return None


async def rotate(*, now: datetime) -> list[str]:
    """Make the keys that are missing, for now and for later, and return their ids. Concurrent calls make them once."""
    made: list[str] = []
    async with write(platform("auth")) as tx:
        await tx.take_turns("auth.signing_keys")
        keys = await store.list_keys(tx)
        current = _usable(keys, now)
        if current is None:
            until = now + SIGNING_PERIOD
            made.append(await _make(tx, now - _CLOCK_SKEW, until))
        else:
            until = current.signs_until
        if until - now <= PUBLISHED_AHEAD and _usable(keys, until) is None:
            # The keys overlap by the skew: while clocks differ, both may sign.
            made.append(await _make(tx, until - _CLOCK_SKEW, until + SIGNING_PERIOD))
        await store.delete_keys(tx, now - _VERIFIES_AFTERWARDS)
    return made


async def _make(tx: Transaction, signs_from: datetime, signs_until: datetime) -> str:
    private = Ed25519PrivateKey.generate()
    kid = new_id().hex
    public = private.public_key()
    key = StoredKey(
        kid=kid,
        sealed=seal("auth", _PURPOSE, private.private_bytes_raw()),
        public_key=public.public_bytes_raw(),
        signs_from=signs_from,
        signs_until=signs_until,
    )
    await store.insert_key(tx, key)
    await identity.publish_key(
        tx, kid, public, not_before=min(signs_from, tx.now) - _CLOCK_SKEW, not_after=signs_until + _VERIFIES_AFTERWARDS
    )
    return kid


async def withdraw(tx: Transaction, kid: str) -> None:
    """Withdraw a key that others may know: it neither signs nor verifies any more. Its tokens are refused."""
    await store.update_withdrawn(tx, kid)
    await identity.retire_key(tx, kid, not_after=tx.now)
