"""The SQL of the throttle."""

from dataclasses import dataclass
from datetime import datetime

from cluster.base.ids import UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True)
class Bucket:
    """How often one key may fail: freely at first, then after waits that double up to the longest."""

    key: bytes
    free_tries: int
    longest_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to sign in: the time until which it is refused, and the account that it names, if there is one.

    `version`: the identity's, when its hash was read.
    """

    blocked_until: datetime | None
    user_id: UserId | None
    secret_hash: str | None
    version: int | None
    locked: bool
    """A moderator locked the account."""
    locked_until: datetime | None
    """None: the lock has no end, or there is none."""


# The attempt is counted before the password is compared, so that a hundred concurrent guesses do not all pass a check that none
# has failed yet. Rows are locked in the order of their keys, so that two attempts do not deadlock.
COUNT_ATTEMPT = """
WITH attempts AS (
    INSERT INTO auth.throttles AS t (key, free_tries, longest_s, failures, updated_at)
    SELECT key, free_tries, longest_s, 1, $now
    FROM unnest($keys::bytea[], $free_tries::int[], $longest_s::int[]) AS b (key, free_tries, longest_s) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE
            WHEN t.blocked_until > $now THEN t.failures
            WHEN t.updated_at < $now - interval '1 hour' THEN 1
            ELSE t.failures + 1 END,
        blocked_until = CASE
            WHEN t.blocked_until > $now THEN t.blocked_until
            WHEN t.updated_at < $now - interval '1 hour' OR t.failures + 1 < t.free_tries THEN NULL
            ELSE $now + make_interval(secs => least(t.longest_s, 2 ^ least(t.failures + 1 - t.free_tries, 20))) END,
        updated_at = CASE WHEN t.blocked_until > $now THEN t.updated_at ELSE $now END
    RETURNING old.blocked_until AS blocked_until
)
SELECT (SELECT max(blocked_until) FROM attempts WHERE blocked_until > $now) AS blocked_until, i.user_id, i.secret_hash, i.version,
    coalesce(k.locks > 0, false) AS locked, nullif(k.until_at, 'infinity') AS locked_until
FROM (VALUES (1)) AS one LEFT JOIN auth.identities i ON i.issuer = 'password' AND i.subject = $subject
LEFT JOIN LATERAL (
    SELECT count(*) AS locks, max(coalesce(until_at, 'infinity')) AS until_at FROM auth.locks
    WHERE user_id = i.user_id AND banned AND NOT reversed AND (until_at IS NULL OR until_at > $now)) k ON true
"""


async def count_attempt(db: Connection, buckets: list[Bucket], subject: str, now: datetime) -> Attempt:
    """Count an attempt as failed until it succeeds, and find the account that it names."""
    return await db.one(
        Attempt,
        COUNT_ATTEMPT,
        keys=[bucket.key for bucket in buckets],
        free_tries=[bucket.free_tries for bucket in buckets],
        longest_s=[bucket.longest_s for bucket in buckets],
        now=now,
        subject=subject,
    )


DELETE_THROTTLES = "DELETE FROM auth.throttles WHERE key = ANY($keys::bytea[])"


async def delete_throttles(tx: Transaction, keys: list[bytes]) -> None:
    await tx.run(DELETE_THROTTLES, keys=keys)
