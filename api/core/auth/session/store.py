"""The SQL of sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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


_SESSION = """id, user_id, salt, generation, rotated_at, transport, auth_time, amr, user_agent, address, version, created_at,
    expires_at, ended_at"""


# The successful attempt was counted as failed before: the failures of the account (`$cleared_keys`) are deleted, and only this one
# of the network (`$network_key`). The identity is locked: a password that was changed after its proof opens no session, and a later
# change finds this session. `crowded`: the sessions that are too many for one person, the longest unused.
INSERT_SESSION = (
    """WITH cleared AS (
        DELETE FROM auth.throttles WHERE key = ANY($cleared_keys::bytea[])
    ), decremented AS (
        UPDATE auth.throttles SET failures = failures - 1, blocked_until = NULL WHERE key = $network_key AND failures > 0
    )
    INSERT INTO auth.sessions
        (id, user_id, salt, rotated_at, transport, auth_time, amr, user_agent, address, created_at, expires_at)
    SELECT $session_id::uuid, i.user_id, $salt::bytea, $now::timestamptz, $transport::text, $now, $amr::text[],
           $user_agent::text, $address::text, $now, $expires_at::timestamptz
    FROM auth.identities i
    WHERE i.user_id = $user_id AND i.issuer = 'password' AND i.version = $identity_version::int FOR SHARE
    RETURNING """
    + _SESSION
    + """, ARRAY(
        SELECT s.id FROM auth.sessions s WHERE s.user_id = $user_id AND s.ended_at IS NULL
        ORDER BY s.rotated_at DESC, s.id DESC OFFSET $max_others::int LIMIT 1000) AS crowded,
    (SELECT true FROM auth.sessions s WHERE s.user_id = $user_id LIMIT 1) IS TRUE
        AND (SELECT true FROM auth.sessions s WHERE s.user_id = $user_id AND s.user_agent = $user_agent LIMIT 1) IS NOT TRUE
        AS on_new_device"""
)


async def insert_session(
    tx: Transaction,
    session_id: SessionId,
    user_id: UserId,
    *,
    salt: bytes,
    transport: str,
    amr: list[str],
    user_agent: str,
    address: str,
    expires_at: datetime,
    cleared_keys: list[bytes],
    network_key: bytes,
    identity_version: int,
    max_sessions: int,
) -> tuple[Session, list[SessionId], bool] | None:
    """Insert a session; return it, those that are too many now, and whether it is on a new device.

    None when the identity has changed.
    """
    rows = await tx.rows(
        INSERT_SESSION,
        session_id=session_id,
        user_id=user_id,
        salt=salt,
        transport=transport,
        amr=amr,
        user_agent=user_agent,
        address=address,
        expires_at=expires_at,
        cleared_keys=cleared_keys,
        network_key=network_key,
        identity_version=identity_version,
        max_others=max_sessions - 1,
    )
    if not rows:
        return None
    row = dict(rows[0])
    crowded, on_new_device = row.pop("crowded"), row.pop("on_new_device")
    return Session(**row), crowded, on_new_device


FIND_SESSION = "SELECT " + _SESSION + " FROM auth.sessions WHERE id = $session_id"


async def find_session(db: Connection, session_id: SessionId) -> Guarded[Session] | None:
    session = await db.maybe(Session, FIND_SESSION, session_id=session_id)
    return None if session is None else Guarded(session, owner_id=session.user_id)


LOCK_SESSION = FIND_SESSION + " FOR UPDATE"


async def lock_session(tx: Transaction, session_id: SessionId) -> Session | None:
    return await tx.maybe(Session, LOCK_SESSION, session_id=session_id)


LIST_SESSIONS = (
    "SELECT "
    + _SESSION
    + """ FROM auth.sessions
    WHERE user_id = $user_id AND ended_at IS NULL AND expires_at > $now AND ($ids::uuid[] IS NULL OR id = ANY($ids))
        AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_sessions(
    db: Connection,
    user_id: UserId,
    now: datetime,
    *,
    ids: list[SessionId] | None,
    before: SessionId | None,
    limit: int,
) -> list[Session]:
    """List the sessions of a person that last, newest first."""
    return await db.all(Session, LIST_SESSIONS, user_id=user_id, now=now, ids=ids, before=before, limit=limit)


UPDATE_GENERATION = (
    """UPDATE auth.sessions SET generation = generation + 1, rotated_at = $now, expires_at = $expires_at
    WHERE id = $session_id RETURNING """
    + _SESSION
)


async def update_generation(tx: Transaction, session_id: SessionId, *, expires_at: datetime) -> Session:
    """Give a session its next generation of refresh tokens."""
    return await tx.one(Session, UPDATE_GENERATION, session_id=session_id, expires_at=expires_at)


UPDATE_AUTH_TIME = (
    "UPDATE auth.sessions SET auth_time = $now, amr = $amr WHERE id = $session_id AND ended_at IS NULL RETURNING "
    + _SESSION
)


async def update_auth_time(tx: Transaction, session_id: SessionId, amr: list[str]) -> Session | None:
    """Record that the person signed in just now; None when the session has ended."""
    return await tx.maybe(Session, UPDATE_AUTH_TIME, session_id=session_id, amr=amr)


@dataclass(frozen=True, slots=True)
class EndedSession:
    id: SessionId
    user_id: UserId
    version: int


UPDATE_ENDED = """
UPDATE auth.sessions
SET ended_at = $now, expires_at = least(expires_at, $now), end_reason = $reason, version = version + 1
WHERE id = ANY($session_ids::uuid[]) AND ended_at IS NULL
RETURNING id, user_id, version
"""


async def update_ended(tx: Transaction, session_ids: Sequence[SessionId], reason: SessionEnd) -> list[EndedSession]:
    """End those of these sessions that last, and return them."""
    return await tx.all(EndedSession, UPDATE_ENDED, session_ids=session_ids, reason=reason)


# Locked in the order of ids, so that two transactions that end the same sessions do not deadlock.
LOCK_SESSIONS = """
SELECT id FROM auth.sessions
WHERE user_id = $user_id AND ended_at IS NULL AND expires_at > $now AND ($except_id::uuid IS NULL OR id <> $except_id)
ORDER BY id LIMIT 10000 FOR UPDATE
"""


async def lock_sessions(tx: Transaction, user_id: UserId, *, except_id: UUID | None) -> list[SessionId]:
    """Lock the sessions of a person that last, all or all but one, and return their ids."""
    return [row["id"] for row in await tx.rows(LOCK_SESSIONS, user_id=user_id, except_id=except_id)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a session was opened, and when."""

    user_agent: str
    address: str
    created_at: datetime


FIND_ORIGIN = "SELECT user_agent, address, created_at FROM auth.sessions WHERE id = $session_id"


async def find_origin(db: Connection, session_id: SessionId) -> Origin | None:
    return await db.maybe(Origin, FIND_ORIGIN, session_id=session_id)
