"""Identity: what an access token looks like, verifying it without asking anybody, and refusing it once it is revoked.

Access tokens are Ed25519 JWTs of five minutes (RFC 9068, RFC 8037). Each process holds the public keys and the
unexpired revocations; broadcasts keep both current. Without proof that these arrive, PostgreSQL is asked per token.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cluster.base import secrets
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Kind, Principal
from cluster.base.problems import Unauthorized
from cluster.base.settings import settings
from cluster.data import Connection, Transaction, postgres
from cluster.signals import broadcast

ACCESS_TOKEN_LIFETIME_S = 300
SERVICE_TOKEN_LIFETIME_S = 60
_FRESH_S = 1.5
_CLOCK_SKEW_S = 30
_MAX_TOKEN_CHARACTERS = 4096
_MAX_CACHED_TOKENS = 4096
_RELOAD_INTERVAL_S = 1.0
_TOPIC = "identity"

KEYS = """
SELECT kid, public_key, not_before, not_after FROM hub.verification_keys
WHERE not_after > now() ORDER BY not_after DESC LIMIT 100
"""
REVOCATIONS = """
SELECT kind, subject_id, revoked_before, expires_at FROM hub.revocations WHERE expires_at > now() LIMIT 1000000
"""
STANDS = """
SELECT EXISTS (
    SELECT FROM hub.verification_keys WHERE kid = $1 AND not_before <= now() AND not_after > now()
) AND NOT EXISTS (
    SELECT FROM hub.revocations
    WHERE (kind = 'session' AND subject_id = $2) OR (kind = 'user' AND subject_id = $3 AND revoked_before > $4)
)
"""
PUBLISH_KEY = """
INSERT INTO hub.verification_keys (kid, public_key, not_before, not_after) VALUES ($1, $2, $3, $4)
ON CONFLICT (kid) DO NOTHING
"""
RETIRE_KEY = "UPDATE hub.verification_keys SET not_after = least(not_after, $2) WHERE kid = $1"
REVOKE = """
INSERT INTO hub.revocations AS r (kind, subject_id, revoked_before, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, subject_id) DO UPDATE
SET revoked_before = greatest(r.revoked_before, excluded.revoked_before),
    expires_at = greatest(r.expires_at, excluded.expires_at)
"""
PURGE_REVOCATIONS = "DELETE FROM hub.revocations WHERE expires_at < now() - interval '1 hour'"
PURGE_KEYS = "DELETE FROM hub.verification_keys WHERE not_after < now() - interval '1 day'"


class InvalidToken(Unauthorized):
    """The token in the Authorization header does not count (RFC 6750, section 3.1)."""

    title = "The access token is not valid"

    def __init__(self, detail: str) -> None:
        challenge = f'Bearer realm="learninghub", error="invalid_token", error_description="{detail}"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    kid: str
    public_key: bytes
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Revocation:
    kind: str
    subject_id: UUID
    revoked_before: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature and claims were checked; whether it is revoked is asked each time."""

    principal: Principal
    kid: str
    issued_at: float
    expires_at: float


@dataclass(slots=True)
class _Known:
    """What this process knows. `keys_stale` and `revocations_stale`: load before the next use."""

    keys: dict[str, tuple[Ed25519PublicKey, VerificationKey]]
    sessions: dict[UUID, float]
    users: dict[UUID, tuple[float, float]]
    tokens: dict[bytes, Verified]
    keys_loaded_at: float = 0.0
    keys_stale: bool = True
    revocations_stale: bool = True


_known = _Known({}, {}, {}, {})
_loading = asyncio.Lock()


async def start() -> None:
    """Load keys and unexpired revocations, and follow their changes. The process is not ready before."""
    global _known
    _known = _Known({}, {}, {}, {})
    broadcast.listen(_TOPIC, _on_broadcast, on_gap=_on_gap)
    await _load_keys()
    await _load_revocations()


async def stop() -> None:
    """Forget everything: a process that does not listen must not trust what it knew."""
    global _known
    _known = _Known({}, {}, {}, {})


def known(token: bytes) -> Principal | None:
    """Return whom an access token names if that is certain without waiting; None: `authenticate` decides."""
    verified = _known.tokens.get(token)
    if (
        verified is None
        or _known.keys_stale
        or _known.revocations_stale
        or verified.expires_at <= time.time()
        or not broadcast.fresh_within(_FRESH_S)
        or _revoked(verified)
    ):
        return None
    return verified.principal


async def authenticate(token: str) -> Principal:
    """Return whom an access token names.

    Raises:
        InvalidToken: malformed, wrongly signed, expired or revoked.
        asyncpg.PostgresError, OSError: it could be revoked and nobody can say.
    """
    raw = token.encode(errors="replace")
    verified = _known.tokens.get(raw)
    if verified is None or _known.keys_stale:
        verified = _known.tokens[raw] = await _verify(token)
    if verified.expires_at <= time.time():
        _known.tokens.pop(raw, None)
        raise InvalidToken("the access token has expired; refresh the session")
    if not broadcast.fresh_within(_FRESH_S):
        _known.revocations_stale = True
        await _ask_postgres(verified)
        return verified.principal
    if _known.revocations_stale:
        await _load_revocations()
    if _revoked(verified):
        raise InvalidToken("this session was ended; sign in again")
    return verified.principal


async def reload_revocations() -> None:
    """Load what was revoked, whatever was heard: for whom `is_over` is asked without their token."""
    await _load_revocations()


async def ensure_stands(principal: Principal, since: float) -> None:
    """Check that a session that was authenticated before stands.

    Raises:
        InvalidToken: it ended since.
        asyncpg.PostgresError, OSError: it could have ended and nobody can say.
    """
    if _known.revocations_stale or not broadcast.fresh_within(_FRESH_S):
        await _load_revocations()
    if is_over(principal, since):
        raise InvalidToken("this session was ended; sign in again")


def _revoked(verified: Verified) -> bool:
    return is_over(verified.principal, verified.issued_at)


def is_over(principal: Principal, since: float) -> bool:
    """Tell whether the session ended, or the person's sessions from before `since` (a Unix time), as far as is known here."""
    # Most of the time nobody is revoked, and hashing a UUID costs more than the question whether anybody is.
    if _known.sessions and principal.session_id in _known.sessions:
        return True
    before = _known.users.get(principal.id) if _known.users and principal.id is not None else None
    return before is not None and since < before[0]


async def _ask_postgres(verified: Verified) -> None:
    principal = verified.principal
    issued_at = datetime.fromtimestamp(verified.issued_at, UTC)
    async with postgres.read() as db:
        stands = await db.value(STANDS, verified.kid, principal.session_id, principal.id, issued_at)
    if not stands:
        raise InvalidToken("this session was ended; sign in again")


async def _verify(token: str) -> Verified:
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise InvalidToken("an access token is shorter")
    try:
        kid = str(jwt.get_unverified_header(token).get("kid", ""))
    except jwt.InvalidTokenError:
        raise InvalidToken("the access token is not a JWT of this platform") from None
    await _know_key(kid)
    key, row = _known.keys.get(kid, (None, None))
    if key is None or row is None or row.not_before.timestamp() > time.time() + _CLOCK_SKEW_S:
        raise InvalidToken("the access token is signed with a key that does not count; sign in again")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            issuer=settings().public_url,
            options={
                "require": ["iss", "sub", "sid", "iat", "exp", "auth_time", "amr"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_aud": False,
            },
        )
        verified = _verified(claims, row)
    except (jwt.InvalidTokenError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise InvalidToken("the access token is not one of this platform; sign in again") from None
    if verified.issued_at > time.time() + _CLOCK_SKEW_S:
        raise InvalidToken("the access token comes from the future")
    if len(_known.tokens) >= _MAX_CACHED_TOKENS:
        _known.tokens.pop(next(iter(_known.tokens)), None)
    return verified


def _verified(claims: dict[str, Any], key: VerificationKey) -> Verified:
    kind: Kind = "service_account" if claims.get("kind") == "service_account" else "person"
    scope = claims.get("scope")
    bound_org = claims.get("bound_org")
    acting_for = claims.get("acting_for")
    principal = Principal(
        kind=kind,
        id=UserId(UUID(claims["sub"])),
        session_id=UUID(claims["sid"]),
        auth_time=datetime.fromtimestamp(claims["auth_time"], UTC),
        amr=tuple(claims["amr"]),
        scopes=None if scope is None else frozenset(scope.split()),
        bound_org=None if bound_org is None else OrgId(UUID(bound_org)),
        acting_for=None if acting_for is None else UserId(UUID(acting_for)),
    )
    return Verified(principal, key.kid, float(claims["iat"]), min(float(claims["exp"]), key.not_after.timestamp()))


async def verification_keys() -> list[VerificationKey]:
    """Return the public keys that count now or soon, for the JWK set."""
    async with postgres.read() as db:
        return await db.all(VerificationKey, KEYS)


async def _know_key(kid: str) -> None:
    recently = time.monotonic() - _known.keys_loaded_at < _RELOAD_INTERVAL_S
    if _known.keys_stale or (kid not in _known.keys and not recently):
        async with _loading:
            if _known.keys_stale or kid not in _known.keys:
                await _load_keys()


async def _load_keys() -> None:
    _known.keys_stale = False
    try:
        async with postgres.read() as db:
            rows = await db.all(VerificationKey, KEYS)
    except BaseException:
        _known.keys_stale = True
        raise
    _known.keys = {row.kid: (Ed25519PublicKey.from_public_bytes(row.public_key), row) for row in rows}
    _known.tokens.clear()
    _known.keys_loaded_at = time.monotonic()


async def _load_revocations() -> None:
    async with postgres.read() as db:
        rows = await db.all(Revocation, REVOCATIONS)
    now = time.time()
    _known.sessions = {id: until for id, until in _known.sessions.items() if until > now}
    _known.users = {id: value for id, value in _known.users.items() if value[1] > now}
    for row in rows:
        _remember(row.kind, row.subject_id, row.revoked_before.timestamp(), row.expires_at.timestamp())
    _known.revocations_stale = False


def _remember(kind: str, subject_id: UUID, before: float, until: float) -> None:
    if kind == "session":
        _known.sessions[subject_id] = max(until, _known.sessions.get(subject_id, 0.0))
    else:
        known = _known.users.get(subject_id, (0.0, 0.0))
        _known.users[subject_id] = (max(before, known[0]), max(until, known[1]))


async def _on_broadcast(message: dict[str, Any]) -> None:
    if message["kind"] == "keys":
        _known.keys_stale = True
    else:
        _remember(message["kind"], UUID(message["id"]), float(message["before"]), float(message["until"]))


async def _on_gap() -> None:
    _known.keys_stale = True
    _known.revocations_stale = True


async def publish_key(
    tx: Transaction, kid: str, public_key: Ed25519PublicKey, *, not_before: datetime, not_after: datetime
) -> None:
    """Let every process accept tokens signed with this key, from `not_before` to `not_after`."""
    await tx.run(PUBLISH_KEY, kid, public_key.public_bytes_raw(), not_before, not_after)
    broadcast.announce(tx, _TOPIC, {"kind": "keys"})


async def retire_key(tx: Transaction, kid: str, *, not_after: datetime) -> None:
    """Let no process accept tokens of this key from `not_after` on: in five minutes to rotate, now when it leaked."""
    await tx.run(RETIRE_KEY, kid, not_after)
    broadcast.announce(tx, _TOPIC, {"kind": "keys"})


async def revoke_session(tx: Transaction, session_id: UUID, until: datetime) -> None:
    """Refuse every access token of the session; `until` is when the last of them expires by itself."""
    await _revoke(tx, "session", session_id, tx.now, until)


async def revoke_user(tx: Transaction, user_id: UserId, before: datetime) -> None:
    """Refuse every access token that the person was issued before this time."""
    await _revoke(tx, "user", user_id, before, before + timedelta(seconds=ACCESS_TOKEN_LIFETIME_S + _CLOCK_SKEW_S))


async def _revoke(tx: Transaction, kind: str, subject_id: UUID, before: datetime, until: datetime) -> None:
    await tx.run(REVOKE, kind, subject_id, before, until)
    message = {"kind": kind, "id": str(subject_id), "before": before.timestamp(), "until": until.timestamp()}
    broadcast.announce(tx, _TOPIC, message)


async def purge(db: Connection) -> int:
    """Delete revocations and keys that no unexpired token can need, and return how many. For auth: nobody else may."""
    return await db.run(PURGE_REVOCATIONS) + await db.run(PURGE_KEYS)


def encode_access_token(
    private_key: Ed25519PrivateKey,
    kid: str,
    *,
    user_id: UserId,
    session_id: UUID,
    auth_time: datetime,
    amr: Sequence[str],
    now: datetime,
    kind: Kind = "person",
    scopes: frozenset[str] | None = None,
    bound_org: OrgId | None = None,
    acting_for: UserId | None = None,
) -> str:
    """Sign an access token that lives five minutes from `now`. The only place that writes the format.

    `iat` has fractions (RFC 7519, NumericDate): who signs in again right after all sessions were ended is let in.
    """
    optional = {
        "kind": None if kind == "person" else kind,
        "scope": None if scopes is None else " ".join(sorted(scopes)),
        "bound_org": None if bound_org is None else str(bound_org),
        "acting_for": None if acting_for is None else str(acting_for),
    }
    claims: dict[str, Any] = {
        "iss": settings().public_url,
        "sub": str(user_id),
        "sid": str(session_id),
        "iat": now.timestamp(),
        "exp": int(now.timestamp()) + ACCESS_TOKEN_LIFETIME_S,
        "auth_time": int(auth_time.timestamp()),
        "amr": list(amr),
        **{name: value for name, value in optional.items() if value is not None},
    }
    return jwt.encode(claims, private_key, algorithm="EdDSA", headers={"kid": kid, "typ": "at+jwt"})


_CALLS = "service token"
_issued: dict[tuple[str, tuple[str, ...]], tuple[str, float]] = {}


def issue_service_token(service: str, callers: tuple[str, ...] = ()) -> str:
    """Return a token that `service` accepts for calls of a host with the services `callers`, good for another 30 s or more."""
    now = time.time()
    token, expires_at = _issued.get((service, callers), ("", 0.0))
    if expires_at - now < SERVICE_TOKEN_LIFETIME_S / 2:
        expires_at = now + SERVICE_TOKEN_LIFETIME_S
        kid, key = next(iter(secrets.keys(_CALLS, plain_digest=True).items()))
        claims = {
            "iss": settings().stack,
            "aud": service,
            "services": list(callers),
            "iat": int(now),
            "exp": int(expires_at),
        }
        token = jwt.encode(claims, key, algorithm="HS256", headers={"typ": "service+jwt", "kid": kid})
        _issued[service, callers] = (token, expires_at)
    return token


def verify_service_token(token: str, service: str) -> tuple[str, ...]:
    """Return the services of the host that made `token` for calls to `service`; none when no service calls.

    Raises:
        InvalidToken: this platform did not make it, or not for this service, or it has expired.
    """
    try:
        kid = str(jwt.get_unverified_header(token).get("kid", ""))
        claims: dict[str, Any] = jwt.decode(
            token,
            secrets.keys(_CALLS, plain_digest=True)[kid],
            algorithms=["HS256"],
            audience=service,
            issuer=settings().stack,
            leeway=5,
            options={"require": ["aud", "exp", "iss"]},
        )
    except (jwt.InvalidTokenError, KeyError):
        raise InvalidToken("calls need a service token of this platform for this service") from None
    return tuple(str(each) for each in claims.get("services", ()))
