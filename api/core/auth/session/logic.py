"""Use cases of sessions: sign in, refresh, list and end them."""

import base64
import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime

from api.core.auth.addresses import key_of
from api.core.auth.contract import (
    RefreshRefused,
    SessionCreated,
    SessionId,
    SessionNotFound,
    SessionOnNewDevice,
    WrongCredentials,
)
from api.core.auth.identity import store as identities
from api.core.auth.lock.rules import locked
from api.core.auth.passwords import hash_password, is_outdated, verify_password
from api.core.auth.session import store
from api.core.auth.session.ending import end
from api.core.auth.session.rules import Chain, RefreshToken, Verdict, expiry, verdict_on
from api.core.auth.session.store import Session
from api.core.auth.signing_key.logic import SigningKey, signing_key
from api.core.auth.throttle import store as throttles
from api.core.auth.throttle.logic import buckets_of, too_many_guesses
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.base.sealing import macs
from cluster.data import read, write
from cluster.events import emit
from cluster.people import identity, tickets
from cluster.people.access import permitted, reach_of

MAX_SESSIONS_PER_PERSON = 100
"""Nobody has so many devices, and one small transaction can end them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The origin of a request, so that its person recognizes it."""

    address: str
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session and the tokens that use it."""

    session: Session
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSession:
    """A session as its person sees it; `current`: it is the session of the request."""

    id: SessionId
    current: bool
    user_agent: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None


async def sign_in(email: str, password: str, transport: str, device: Device) -> SignedIn:
    """Open a session. A wrong address and a wrong password take the same time and get the same answer.

    Raises:
        WrongCredentials, TooManyGuesses, AccountLocked
    """
    checked = await check_credentials(email, password, device.address)
    user_id = checked.user_id
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
            cleared_keys=checked.throttle_keys[:-1],
            network_key=checked.throttle_keys[-1],
            identity_version=checked.version,
            max_sessions=MAX_SESSIONS_PER_PERSON,
        )
        if inserted is None:
            raise _wrong()
        session, crowded, on_new_device = inserted
        await end(tx, crowded, "crowded_out")
        emit(tx, SessionCreated(session_id=session.id, user_id=user_id), version=session.version)
        if on_new_device:
            emit(tx, SessionOnNewDevice(session_id=session.id, user_id=user_id), version=session.version)
    return SignedIn(session=session, access_token=access_token(session, key), refresh_token=_refresh_token(session))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCredentials:
    """The person whose credentials were right, the version of the identity, and the throttle's keys to clear with the sign-in."""

    user_id: UserId
    version: int
    throttle_keys: list[bytes]


def _wrong() -> WrongCredentials:
    return WrongCredentials("check both; POST /v1/identities/-/forgot mails a link to a new password")


async def check_credentials(email: str, password: str, address: str) -> CheckedCredentials:
    """Check an e-mail and password, and return the person.

    Raises:
        WrongCredentials, TooManyGuesses, AccountLocked
    """
    subject = key_of(email)
    buckets = buckets_of(subject, address)
    now = datetime.now(UTC)
    async with read() as db:
        attempt = await throttles.count_attempt(db, buckets, subject, now)
    if attempt.blocked_until is not None:
        raise too_many_guesses(attempt.blocked_until, now)
    right = await verify_password(password, attempt.secret_hash)
    if not right or attempt.user_id is None or attempt.version is None:
        raise _wrong()
    if attempt.locked:
        raise locked(attempt.locked_until)
    if attempt.secret_hash is not None and is_outdated(attempt.secret_hash):
        renewed = await hash_password(password)
        async with read() as db:
            await identities.update_hash(db, attempt.user_id, present=attempt.secret_hash, renewed=renewed)
    keys = [bucket.key for bucket in buckets]
    return CheckedCredentials(user_id=attempt.user_id, version=attempt.version, throttle_keys=keys)


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
    """Return the proof of a generation under the newest secret, and those under former secrets."""
    made = macs("auth", "refresh token", session.id.bytes + session.salt + generation.to_bytes(8, "big"))
    return [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in made]


def _refresh_token(session: Session) -> str:
    return str(RefreshToken(session.id, session.generation, _proofs(session, session.generation)[0]))


async def refresh(text: str) -> SignedIn:
    """Return the next tokens for a refresh token, and end the session when the token was used before.

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
        verdict = verdict_on(chain, token.generation, tx.now)
        if verdict is Verdict.ROTATE:
            session = await store.update_generation(tx, session.id, expires_at=expiry(session.created_at, tx.now))
        elif verdict is Verdict.REUSE:
            await end(tx, [session.id], "reuse")
    if verdict is Verdict.REUSE:
        raise _refused("this refresh token was used before: the session was ended in case somebody else has it")
    if verdict is Verdict.OVER:
        raise _refused("the session has ended")
    return SignedIn(session=session, access_token=access_token(session, key), refresh_token=_refresh_token(session))


def _is_genuine(token: RefreshToken, session: Session) -> bool:
    made = _proofs(session, token.generation)
    return any(hmac.compare_digest(proof.encode(), token.proof.encode()) for proof in made)


def _refused(why: str) -> RefreshRefused:
    return RefreshRefused(f"{why}; sign in again")


async def list_sessions(
    caller: Principal, *, ids: list[SessionId] | None, before: SessionId | None, limit: int
) -> list[OwnSession]:
    """List the sessions of the caller, newest first."""
    user_id = (await reach_of(caller, "session:read")).own
    if user_id is None:
        return []
    async with read() as db:
        sessions = await store.list_sessions(db, user_id, datetime.now(UTC), ids=ids, before=before, limit=limit)
    return [_own_session(caller, session) for session in sessions]


async def get_session(caller: Principal, session_id: SessionId) -> OwnSession:
    caller.person()
    session = await permitted(caller, "session:read", store.find_session, session_id, missing=SessionNotFound)
    return _own_session(caller, session)


async def end_session(caller: Principal, session_id: SessionId) -> OwnSession:
    """End one of the caller's sessions. Its access tokens are refused everywhere within two seconds."""
    caller.person()
    await permitted(caller, "session:end", store.find_session, session_id, missing=SessionNotFound)
    async with write(caller, result=session_id) as tx:
        await end(tx, [session_id], "signed_out")
        session = await store.lock_session(tx, session_id)
    if session is None:
        raise SessionNotFound
    return _own_session(caller, session)


async def make_ticket(caller: Principal) -> tuple[str, datetime]:
    """Return a ticket for the live socket, and when it is over."""
    caller.person()
    now = datetime.now(UTC)
    return await tickets.issue(caller, now), now + tickets.LIFETIME


def _own_session(caller: Principal, session: Session) -> OwnSession:
    return OwnSession(
        id=session.id,
        current=session.id == caller.session_id,
        user_agent=session.user_agent,
        address=session.address,
        created_at=session.created_at,
        last_used_at=session.rotated_at,
        expires_at=session.expires_at,
        ended_at=session.ended_at,
    )


async def renew(caller: Principal, throttle_keys: list[bytes]) -> SignedIn:
    """Record that the caller, whose password was proven again, signed in just now.

    Raises:
        SessionNotFound
    """
    if caller.session_id is None:
        raise SessionNotFound
    key = await signing_key()
    async with write(caller) as tx:
        session = await store.update_auth_time(tx, SessionId(caller.session_id), ["pwd"])
        if session is None:
            raise SessionNotFound
        await throttles.delete_throttles(tx, throttle_keys)
    return SignedIn(session=session, access_token=access_token(session, key), refresh_token=_refresh_token(session))
