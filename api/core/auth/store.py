"""The SQL of all tables of auth together. Sessions, identities, mails, signing keys and the throttle have stores of their own."""

from datetime import timedelta

from cluster.data import Transaction

DELETE_EXPIRED = """
WITH sessions AS (
    DELETE FROM auth.sessions WHERE id IN (
        SELECT id FROM auth.sessions WHERE expires_at < $a_month_ago ORDER BY expires_at LIMIT $limit)
    RETURNING 1
), throttles AS (
    DELETE FROM auth.throttles WHERE key IN (
        SELECT key FROM auth.throttles WHERE updated_at < $a_day_ago ORDER BY updated_at LIMIT $limit)
    RETURNING 1
), tokens AS (
    DELETE FROM auth.mail_tokens WHERE token_sha256 IN (
        SELECT token_sha256 FROM auth.mail_tokens WHERE expires_at < $a_day_ago ORDER BY expires_at LIMIT $limit)
    RETURNING 1
), mails AS (
    DELETE FROM auth.mails WHERE id IN (
        SELECT id FROM auth.mails WHERE created_at < $a_day_ago ORDER BY created_at LIMIT $limit)
    RETURNING 1
)
SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM throttles) + (SELECT count(*) FROM tokens)
    + (SELECT count(*) FROM mails)
"""


async def delete_expired(tx: Transaction, limit: int) -> int:
    """Delete at most `limit` rows of each table, sessions 30 days after their end, others after a day; return their number."""
    return await tx.value(
        DELETE_EXPIRED,
        a_month_ago=tx.now - timedelta(days=30),
        a_day_ago=tx.now - timedelta(days=1),
        limit=limit,
    )
