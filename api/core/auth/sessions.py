"""Sessions: sign in, refresh, look where one is signed in, and end them everywhere at once."""

import base64
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.core.auth import store
from api.core.auth.addresses import key_of
from api.core.auth.contract import (
    RefreshRefused,
    SessionCreated,
    SessionEnd,
    SessionEnded,
    SessionId,
    SessionNotFound,
    WrongCredentials,
)
from api.core.auth.keys import SigningKey, signing_key
from api.core.auth.passwords import hash_password, is_outdated, verify_password
from api.core.auth.rules import Chain, RefreshToken, Worth, expiry, worth
from api.core.auth.sealing import macs
from api.core.auth.store import Attempt, Session
from api.core.auth.throttle import buckets, refuse
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people import identity
from cluster.people.access import permit, reach_of

MOST = 100
"""Sessions of one person at a time: so many devices nobody has, and ending all of them stays one small transaction."""
_REVOKED_FOR = timedelta(seconds=identity.ACCESS_TOKEN_LIFETIME_S + 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a request comes from, as far as its person wants to recognize it."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session and the tokens that use it."""

    session: Session
    access_token: str
    refresh_token: str


async def sign_in(email: str, password: str, transport: str, device: Device) -> SignedIn:
    """Open a session. Wrong address and wrong password cost the same time and get the same answer.

    Raises:
        WrongCredentials, TooManyGuesses
    """
    proven = await check_credentials(email, password, device.address)
    user_id, forgive = proven.user_id, proven.forgive
    key = await signing_key()
    session_id = SessionId(new_id())
    async with write(Principal(kind="person", id=user_id, session_id=session_id)) as tx:
        inserted = await store.insert_session(
            tx,
            session_id,
            user_id,
            salt=os.urandom(16),
            transport=transport,
            amr=["pwd"],
            user_agent=device.user_agent[:200],
            address=device.address[:64],
            expires_at=expiry(tx.now, tx.now),
            forgive=forgive[:-1],
            undo=forgive[-1],
            identity_version=proven.version,
            at_most=MOST,
        )
        if inserted is None:
            raise _wrong()
        session, crowded = inserted
        await end(tx, crowded, "crowded_out")
        emit(tx, SessionCreated(session_id=session.id, user_id=user_id), version=session.version)
    return SignedIn(session=session, access_token=access_token(session, key), refresh_token=_refresh_token(session))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """Whose credentials were right, in which version of the identity, and the throttle's keys to clear once that is used."""

    user_id: UserId
    version: int
    forgive: list[bytes]


def _wrong() -> WrongCredentials:
    return WrongCredentials("check both; POST /v1/identities/-/forgot mails a link to a new password")


async def check_credentials(email: str, password: str, address: str) -> Proven:
    """Return whose e-mail and password these are.

    Raises:
        WrongCredentials, TooManyGuesses
    """
    subject = key_of(email)
    counted = buckets(subject, address)
    now = datetime.now(UTC)
    async with read() as db:
        attempt: Attempt = await store.count_attempt(db, counted, subject, now)
    if attempt.blocked_until is not None:
        raise refuse(attempt.blocked_until, now)
    right = await verify_password(password, attempt.secret_hash)
    if not right or attempt.user_id is None or attempt.version is None:
        raise _wrong()
    if attempt.secret_hash is not None and is_outdated(attempt.secret_hash):
        renewed = await hash_password(password)
        async with read() as db:
            await store.rehash(db, attempt.user_id, attempt.secret_hash, renewed)
    return Proven(user_id=attempt.user_id, version=attempt.version, forgive=[bucket.key for bucket in counted])


def access_token(session: Session, key: SigningKey) -> str:
    return identity.encode_access_token(
        key.private,
        key.kid,
        user_id=session.user_id,
        session_id=session.id,
        auth_time=session.auth_time,
        amr=session.amr,
        now=datetime.now(UTC),
    )


def _proofs(session: Session, generation: int) -> list[str]:
    """Return the proof of a generation, and what it was under former secrets."""
    made = macs("refresh token", session.id.bytes + session.salt + generation.to_bytes(8, "big"))
    return [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in made]


def _refresh_token(session: Session) -> str:
    return str(RefreshToken(session.id, session.generation, _proofs(session, session.generation)[0]))


async def refresh(text: str) -> SignedIn:
    """Give the next tokens for a refresh token, and end the session when the token has been used before.

    Raises:
        RefreshRefused
    """
    token = RefreshToken.parse(text)
    if token is None:
        raise _refused("this is no refresh token of ours")
    key = await signing_key()
    async with write(Principal(kind="person")) as tx:
        session = await store.lock_session(tx, SessionId(token.session_id))
        if session is None or not _is_genuine(token, session):
            raise _refused("this is no refresh token of ours")
        chain = Chain(session.generation, session.rotated_at, session.expires_at, session.ended_at is not None)
        verdict = worth(chain, token.generation, tx.now)
        if verdict is Worth.ROTATE:
            session = await store.rotate_session(tx, session.id, expires_at=expiry(session.created_at, tx.now))
        elif verdict is Worth.REUSE:
            await end(tx, [session.id], "reuse")
    if verdict is Worth.REUSE:
        raise _refused("this refresh token was used before: the session was ended in case somebody else has it")
    if verdict is Worth.OVER:
        raise _refused("the session has ended")
    return SignedIn(session=session, access_token=access_token(session, key), refresh_token=_refresh_token(session))


def _is_genuine(token: RefreshToken, session: Session) -> bool:
    made = _proofs(session, token.generation)
    return any(hmac.compare_digest(proof.encode(), token.proof.encode()) for proof in made)


def _refused(why: str) -> RefreshRefused:
    return RefreshRefused(f"{why}; sign in again")


async def list_sessions(
    principal: Principal, *, ids: list[UUID] | None, after: UUID | None, limit: int
) -> Sequence[Session]:
    """Return where the caller is signed in, newest first."""
    user_id = (await reach_of(principal, "session:read")).own
    if user_id is None:
        return []
    async with read() as db:
        return await store.list_sessions(db, user_id, datetime.now(UTC), ids=ids, after=after, limit=limit)


async def get_session(principal: Principal, session_id: SessionId) -> Session:
    principal.person()
    async with read() as db:
        guarded = await store.find_session(db, session_id)
    return await permit(principal, "session:read", guarded, missing=SessionNotFound)


async def end_session(principal: Principal, session_id: SessionId) -> Session:
    """Sign out one of the caller's sessions. Its access tokens are refused everywhere within two seconds."""
    principal.person()
    async with read() as db:
        guarded = await store.find_session(db, session_id)
    await permit(principal, "session:end", guarded, missing=SessionNotFound)
    async with write(principal, result=session_id) as tx:
        await end(tx, [session_id], "signed_out")
        session = await store.lock_session(tx, session_id)
    if session is None:
        raise SessionNotFound
    return session


async def end(tx: Transaction, ids: list[UUID], reason: SessionEnd) -> None:
    """End sessions, refuse their access tokens, and tell everybody."""
    if not ids:
        return
    for ended in await store.end_sessions(tx, ids, reason):
        await identity.revoke_session(tx, ended.id, until=tx.now + _REVOKED_FOR)
        emit(tx, SessionEnded(session_id=ended.id, user_id=ended.user_id, reason=reason), version=ended.version)


async def end_all(tx: Transaction, user_id: UserId, reason: SessionEnd, *, but: UUID | None = None) -> None:
    """End all sessions of a person, or all but the one that asks for it."""
    await end(tx, await store.lock_sessions_of(tx, user_id, but=but), reason)


async def renew(principal: Principal, forgive: list[bytes]) -> SignedIn:
    """Count the caller's session as signed in just now: the password was proven again.

    Raises:
        SessionNotFound
    """
    if principal.session_id is None:
        raise SessionNotFound
    key = await signing_key()
    async with write(principal) as tx:
        session = await store.reauthenticate(tx, SessionId(principal.session_id), ["pwd"])
        if session is None:
            raise SessionNotFound
        await store.delete_throttles(tx, forgive)
    return SignedIn(session=session, access_token=access_token(session, key), refresh_token=_refresh_token(session))
