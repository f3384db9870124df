"""One function per statement on the schema auth: sessions and the throttle of guesses."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from api.core.auth.contract import SessionEnd, SessionId
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: SessionId
    user_id: UserId
    salt: bytes
    generation: int
    rotated_at: datetime
    transport: str
    auth_time: datetime
    amr: list[str]
    user_agent: str
    address: str
    version: int
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A sign-in that begins: until when it is refused, and the account that it names, if there is one.

    `version`: the identity's, when its hash was read.
    """

    blocked_until: datetime | None
    user_id: UserId | None
    secret_hash: str | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """How often one key may fail: freely at first, then after waits that double up to the longest."""

    key: bytes
    free_tries: int
    longest_s: int


# Counting before the password is compared keeps a hundred guesses at once from all passing a check that none has failed yet.
# Rows are taken in the order of their keys, so that two attempts never wait for each other.
COUNT_ATTEMPT = """
WITH attempts AS (
    INSERT INTO auth.throttles AS t (key, free_tries, longest_s, failures, updated_at)
    SELECT key, free_tries, longest_s, 1, $4
    FROM unnest($1::bytea[], $2::int[], $3::int[]) AS b (key, free_tries, longest_s) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE
            WHEN t.blocked_until > $4 THEN t.failures
            WHEN t.updated_at < $4 - interval '1 hour' THEN 1
            ELSE t.failures + 1 END,
        blocked_until = CASE
            WHEN t.blocked_until > $4 THEN t.blocked_until
            WHEN t.updated_at < $4 - interval '1 hour' OR t.failures + 1 < t.free_tries THEN NULL
            ELSE $4 + make_interval(secs => least(t.longest_s, 2 ^ least(t.failures + 1 - t.free_tries, 20))) END,
        updated_at = CASE WHEN t.blocked_until > $4 THEN t.updated_at ELSE $4 END
    RETURNING old.blocked_until AS blocked_until
)
SELECT (SELECT max(blocked_until) FROM attempts WHERE blocked_until > $4) AS blocked_until, i.user_id, i.secret_hash, i.version
FROM (VALUES (1)) AS one LEFT JOIN auth.identities i ON i.issuer = 'password' AND i.subject = $5
"""


async def count_attempt(db: Connection, buckets: list[Bucket], subject: str, now: datetime) -> Attempt:
    """Count an attempt as failed until it succeeds, and find the account that it names."""
    return await db.one(
        Attempt,
        COUNT_ATTEMPT,
        [bucket.key for bucket in buckets],
        [bucket.free_tries for bucket in buckets],
        [bucket.longest_s for bucket in buckets],
        now,
        subject,
    )


REHASH = "UPDATE auth.identities SET secret_hash = $3 WHERE user_id = $1 AND secret_hash = $2"


async def rehash(db: Connection, user_id: UserId, old: str, new: str) -> None:
    """Keep the same password under today's parameters, unless it was changed meanwhile."""
    await db.run(REHASH, user_id, old, new)


# The attempt that succeeded was counted as failed before: forgetting the account's failures, and of the address only this one.
# The identity is held: a password that is changed between its proof and here opens nothing, and a change that comes later finds
# this session. `crowded` are those beyond what one person may have, the longest unused.
INSERT_SESSION = """
WITH forgiven AS (
    DELETE FROM auth.throttles WHERE key = ANY($10::bytea[])
), undone AS (
    UPDATE auth.throttles SET failures = failures - 1, blocked_until = NULL WHERE key = $11 AND failures > 0
)
INSERT INTO auth.sessions
    (id, user_id, salt, rotated_at, transport, auth_time, amr, user_agent, address, created_at, expires_at)
SELECT $1::uuid, i.user_id, $3::bytea, $4::timestamptz, $5::text, $4, $6::text[], $7::text, $8::text, $4, $9::timestamptz
FROM auth.identities i WHERE i.user_id = $2 AND i.issuer = 'password' AND i.version = $12::int FOR SHARE
RETURNING id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at, ARRAY(
        SELECT s.id FROM auth.sessions s WHERE s.user_id = $2 AND s.ended_at IS NULL
        ORDER BY s.rotated_at DESC, s.id DESC OFFSET $13::int LIMIT 1000) AS crowded
"""


async def insert_session(
    tx: Transaction,
    id: SessionId,
    user_id: UserId,
    *,
    salt: bytes,
    transport: str,
    amr: list[str],
    user_agent: str,
    address: str,
    expires_at: datetime,
    forgive: list[bytes],
    undo: bytes,
    identity_version: int,
    at_most: int,
) -> tuple[Session, list[UUID]] | None:
    """Store a session, and return it with those that are too many now; None when the identity is not what it was."""
    rows = await tx.rows(
        INSERT_SESSION,
        id,
        user_id,
        salt,
        tx.now,
        transport,
        amr,
        user_agent,
        address,
        expires_at,
        forgive,
        undo,
        identity_version,
        at_most - 1,
    )
    if not rows:
        return None
    row = dict(rows[0])
    crowded = row.pop("crowded")
    return Session(**row), crowded


FORGIVE = "DELETE FROM auth.throttles WHERE key = ANY($1::bytea[])"


async def delete_throttles(tx: Transaction, keys: list[bytes]) -> None:
    await tx.run(FORGIVE, keys)


FIND_SESSION = """
SELECT id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at
FROM auth.sessions WHERE id = $1
"""


async def find_session(db: Connection, session_id: SessionId) -> Guarded[Session] | None:
    session = await db.maybe(Session, FIND_SESSION, session_id)
    return None if session is None else Guarded(session, owner_id=session.user_id)


LOCK_SESSION = """
SELECT id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at
FROM auth.sessions WHERE id = $1 FOR UPDATE
"""


async def lock_session(tx: Transaction, session_id: SessionId) -> Session | None:
    return await tx.maybe(Session, LOCK_SESSION, session_id)


LIST_SESSIONS = """
SELECT id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at
FROM auth.sessions
WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND ($3::uuid[] IS NULL OR id = ANY($3))
    AND ($4::uuid IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5
"""


async def list_sessions(
    db: Connection, user_id: UserId, now: datetime, *, ids: list[UUID] | None, after: UUID | None, limit: int
) -> list[Session]:
    return await db.all(Session, LIST_SESSIONS, user_id, now, ids, after, limit)


ROTATE_SESSION = """
UPDATE auth.sessions SET generation = generation + 1, rotated_at = $2, expires_at = $3 WHERE id = $1
RETURNING id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at
"""


async def rotate_session(tx: Transaction, id: SessionId, *, expires_at: datetime) -> Session:
    return await tx.one(Session, ROTATE_SESSION, id, tx.now, expires_at)


REAUTHENTICATE = """
UPDATE auth.sessions SET auth_time = $2, amr = $3 WHERE id = $1 AND ended_at IS NULL
RETURNING id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at
"""


async def reauthenticate(tx: Transaction, id: SessionId, amr: list[str]) -> Session | None:
    return await tx.maybe(Session, REAUTHENTICATE, id, tx.now, amr)


@dataclass(frozen=True, slots=True)
class Ended:
    id: SessionId
    user_id: UserId
    version: int


END_SESSIONS = """
UPDATE auth.sessions
SET ended_at = $2, expires_at = least(expires_at, $2), end_reason = $3, version = version + 1
WHERE id = ANY($1::uuid[]) AND ended_at IS NULL
RETURNING id, user_id, version
"""


async def end_sessions(tx: Transaction, ids: list[UUID], reason: SessionEnd) -> list[Ended]:
    return await tx.all(Ended, END_SESSIONS, ids, tx.now, reason)


# In the order of ids, so that two who end the same sessions do not wait for each other.
LOCK_SESSIONS_OF = """
SELECT id FROM auth.sessions
WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND ($3::uuid IS NULL OR id <> $3)
ORDER BY id LIMIT 10000 FOR UPDATE
"""


async def lock_sessions_of(tx: Transaction, user_id: UserId, *, but: UUID | None) -> list[UUID]:
    return [row["id"] for row in await tx.rows(LOCK_SESSIONS_OF, user_id, tx.now, but)]


PURGE = """
WITH sessions AS (
    DELETE FROM auth.sessions WHERE id IN (
        SELECT id FROM auth.sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $3)
    RETURNING 1
), throttles AS (
    DELETE FROM auth.throttles WHERE key IN (
        SELECT key FROM auth.throttles WHERE updated_at < $2 ORDER BY updated_at LIMIT $3)
    RETURNING 1
), tokens AS (
    DELETE FROM auth.mail_tokens WHERE token_sha256 IN (
        SELECT token_sha256 FROM auth.mail_tokens WHERE expires_at < $2 ORDER BY expires_at LIMIT $3)
    RETURNING 1
), mails AS (
    DELETE FROM auth.mails WHERE id IN (SELECT id FROM auth.mails WHERE created_at < $2 ORDER BY created_at LIMIT $3)
    RETURNING 1
)
SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM throttles) + (SELECT count(*) FROM tokens)
    + (SELECT count(*) FROM mails)
"""


async def purge(tx: Transaction, limit: int) -> int:
    """Delete what is over, up to `limit` rows a table: sessions 30 days after, the rest a day after. Returns how much."""
    return await tx.value(PURGE, tx.now - timedelta(days=30), tx.now - timedelta(days=1), limit)
