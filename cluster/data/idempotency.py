"""Idempotency-Key: a request that is sent twice has its effect once (draft-ietf-httpapi-idempotency-key-header).

The write transaction stores the key beside the effect, so both commit together or neither does. A key belongs to one
principal, method and path. Only keyed hashes of key and body are kept: a body may hold a password.
"""

import hmac
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from cluster.base import secrets
from cluster.base.principal import Principal
from cluster.base.problems import BadRequest, Problem
from cluster.data import postgres
from cluster.data.postgres import Connection, Transaction


class KeyInFlight(Problem):
    """The first request with this key is still being worked on."""

    status = 409
    title = "A request with this Idempotency-Key is still running"

    def __init__(self) -> None:
        super().__init__("repeat it in a second; it then answers what the first one did", headers={"Retry-After": "1"})


class KeyReused(Problem):
    status = 422
    title = "This Idempotency-Key was used for another request"

    def __init__(self) -> None:
        super().__init__(
            "a key stands for one request with one body: send a new key with a new request",
            pointer="/header/idempotency-key",
        )


class Replayed(Exception):
    """The request was done before; its result is named here and nothing was done now."""

    def __init__(self, result: UUID | None, status: int) -> None:
        super().__init__(f"replayed with {status}")
        self.result = result
        self.status = status


@dataclass(slots=True)
class Key:
    """The current request's key. Only `once` activates it: a route that returns a secret goes without."""

    hash: bytes
    fingerprint: bytes
    former: list[tuple[bytes, bytes]]
    """Hash and fingerprint under former secrets: the first request may have come before a new one."""
    active: bool = False
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    outcome: str
    result_id: UUID | None
    status: int


_key: ContextVar[Key | None] = ContextVar("idempotency_key", default=None)

FIND = """
SELECT CASE WHEN fingerprint = $2 THEN 'replayed' ELSE 'reused' END AS outcome, result_id, status
FROM hub.idempotency_keys WHERE key_hash = $1 AND created_at > now() - interval '24 hours'
"""
CLAIM = "SELECT outcome, result_id, status FROM hub.claim_idempotency($1, $2, $3, $4)"
# An array, because a join would read the whole table.
PURGE = """
DELETE FROM hub.idempotency_keys WHERE key_hash = ANY(ARRAY(
    SELECT key_hash FROM hub.idempotency_keys WHERE created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT 10000 FOR UPDATE SKIP LOCKED
))
"""


def begin(key: str | None, *, principal: Principal, method: str, path: str, query: bytes, body: bytes) -> None:
    """Remember the key of the request that starts here.

    Raises:
        BadRequest: the key is not 1 to 255 visible ASCII characters.
    """
    if key is None:
        _key.set(None)
        return
    if not 1 <= len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        raise BadRequest(
            "an Idempotency-Key is 1 to 255 visible ASCII characters; a UUID is a good one",
            pointer="/header/idempotency-key",
        )
    owner = f"{principal.kind} {principal.id} {principal.acting_for}"
    name, content = f"{owner}\n{method} {path}\n{key}".encode(), query + b"\n" + body
    (newest, *former) = [
        (hmac.digest(secret, name, "sha256"), hmac.digest(secret, content, "sha256"))
        for secret in secrets.keys("idempotency", plain_digest=True).values()
    ]
    _key.set(Key(*newest, former=former))


@contextmanager
def outside() -> Generator[None]:
    """Run the body as if the request had no key: a call to another service must not claim the caller's."""
    token = _key.set(None)
    try:
        yield
    finally:
        _key.reset(token)


async def claim(tx: Transaction, result: UUID | None, status: int) -> None:
    """Store the current request's key with its result in `tx`; without one do nothing. Only a first write claims.

    Raises:
        Replayed, KeyInFlight, KeyReused
    """
    key = _key.get()
    if key is None or not key.active or key.claimed:
        return
    found = await tx.one(Outcome, CLAIM, key.hash, key.fingerprint, result, status)
    if found.outcome == "in_flight":
        raise KeyInFlight
    if found.outcome != "claimed":
        raise _seen(found)

    async def remember() -> None:
        key.claimed = True

    tx.after_commit(remember)


def _seen(found: Outcome) -> Exception:
    return Replayed(found.result_id, found.status) if found.outcome == "replayed" else KeyReused()


async def find(key: Key) -> Exception | None:
    """Return what to raise when a request with this key was done before: `Replayed`, or `KeyReused`."""
    async with postgres.read() as db:
        for hash, fingerprint in ((key.hash, key.fingerprint), *key.former):
            found = await db.maybe(Outcome, FIND, hash, fingerprint)
            if found is not None:
                return _seen(found)
    return None


def current() -> Key | None:
    """Return the key of the request that runs here."""
    return _key.get()


async def purge(db: Connection) -> int:
    """Delete up to 10,000 keys that are older than a day and return how many."""
    return await db.run(PURGE)
