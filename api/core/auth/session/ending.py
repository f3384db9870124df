"""How sessions end, whoever wants it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from api.core.auth.contract import SessionEnd, SessionEnded, SessionId
from api.core.auth.session import store
from cluster.base.ids import UserId
from cluster.data import Transaction
from cluster.events import emit
from cluster.people import identity

_REVOCATION_PERIOD = timedelta(seconds=identity.ACCESS_TOKEN_LIFETIME_S + 60)


async def end(tx: Transaction, ids: Sequence[SessionId], reason: SessionEnd) -> None:
    """End sessions, refuse their access tokens, and emit `session.ended`."""
    if not ids:
        return
    for ended in await store.update_ended(tx, ids, reason):
        await identity.revoke_session(tx, ended.id, until=tx.now + _REVOCATION_PERIOD)
        emit(tx, SessionEnded(session_id=ended.id, user_id=ended.user_id, reason=reason), version=ended.version)


async def end_all(tx: Transaction, user_id: UserId, reason: SessionEnd, *, except_id: UUID | None = None) -> None:
    """End all sessions of a person, or all but the caller's (`except_id`)."""
    await end(tx, await store.lock_sessions(tx, user_id, except_id=except_id), reason)
