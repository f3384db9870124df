"""Tokens: who they name, and that a revoked one counts nowhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal, cast
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.data.postgres import count_statements
from cluster.people import identity
from cluster.people.identity import InvalidToken
from cluster.signals import broadcast


@dataclass(frozen=True, slots=True)
class Signer:
    key: Ed25519PrivateKey
    kid: str

    def token(self, session_id: UUID, user_id: UserId, *, now: datetime | None = None, **claims: Any) -> str:
        now = now or datetime.now(UTC)
        claims = {"auth_time": now, "amr": ("pwd",), "now": now} | claims
        return identity.encode_access_token(self.key, self.kid, user_id=user_id, session_id=session_id, **claims)


@pytest.fixture(scope="module")
async def signer(process: None) -> Signer:
    return await _publish()


async def _publish() -> Signer:
    made = Signer(Ed25519PrivateKey.generate(), new_id().hex)
    now = datetime.now(UTC)
    async with write(PLATFORM) as tx:
        await identity.publish_key(
            tx, made.kid, made.key.public_key(), not_before=now, not_after=now + timedelta(hours=1)
        )
    await arrived()
    return made


async def arrived() -> None:
    """Wait until all broadcasts so far have arrived here."""
    heard = asyncio.Event()
    token = new_id().hex

    async def hear(message: dict[str, Any]) -> None:
        if message["token"] == token:
            heard.set()

    broadcast.listen("test-identity", hear)
    async with write(PLATFORM) as tx:
        broadcast.announce(tx, "test-identity", {"token": token})
    await asyncio.wait_for(heard.wait(), 10)


@pytest.fixture
async def deaf(process: None) -> AsyncIterator[None]:
    """Let no broadcast reach this process."""
    await broadcast.stop()
    yield
    await broadcast.start()


async def test_a_token_names_its_principal(signer: Signer) -> None:
    now = datetime.now(UTC)
    user_id, session_id, org_id, other = UserId(new_id()), new_id(), OrgId(new_id()), UserId(new_id())
    token = signer.token(
        session_id,
        user_id,
        now=now,
        amr=("pwd", "otp"),
        scopes=frozenset({"course:read", "course:edit"}),
        bound_org=org_id,
        acting_for=other,
        kind="service_account",
    )
    expected = Principal(
        kind="service_account",
        id=user_id,
        session_id=session_id,
        acting_for=other,
        scopes=frozenset({"course:read", "course:edit"}),
        bound_org=org_id,
        auth_time=now.replace(microsecond=0),
        amr=("pwd", "otp"),
    )
    assert await identity.authenticate(token) == expected
    plain = await identity.authenticate(signer.token(session_id, user_id, now=now))
    assert (plain.kind, plain.scopes, plain.bound_org, plain.acting_for) == ("person", None, None, None)


async def test_a_known_token_costs_no_statement(signer: Signer) -> None:
    token = signer.token(new_id(), UserId(new_id()))
    await identity.authenticate(token)
    with count_statements() as statements:
        await identity.authenticate(token)
    assert statements.count == 0


@pytest.mark.parametrize("fault", ["expired", "future", "issuer", "key", "none", "hmac", "claims", "sub", "amr", "kid"])
async def test_what_is_not_ours_is_refused(signer: Signer, fault: str) -> None:
    now = datetime.now(UTC)
    fit = signer.token(new_id(), UserId(new_id()))
    claims: dict[str, Any] = jwt.decode(fit, options={"verify_signature": False})
    headers = {"kid": signer.kid}
    public = signer.key.public_key().public_bytes_raw()
    token = {
        "expired": lambda: signer.token(
            new_id(), UserId(new_id()), now=now - timedelta(seconds=identity.ACCESS_TOKEN_LIFETIME_S + 1)
        ),
        "future": lambda: signer.token(new_id(), UserId(new_id()), now=now + timedelta(minutes=5)),
        "issuer": lambda: jwt.encode(claims | {"iss": "https://evil.example"}, signer.key, "EdDSA", headers),
        "key": lambda: jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers),
        "none": lambda: jwt.encode(claims, cast(Any, None), "none", headers),
        "hmac": lambda: jwt.encode(claims, public, "HS256", headers),
        "claims": lambda: jwt.encode({"iss": settings().public_url}, signer.key, "EdDSA", headers),
        "sub": lambda: jwt.encode(claims | {"sub": "me"}, signer.key, "EdDSA", headers),
        "amr": lambda: jwt.encode(claims | {"amr": 5, "auth_time": "x"}, signer.key, "EdDSA", headers),
        "kid": lambda: jwt.encode(claims, signer.key, "EdDSA", {"kid": "other"}),
    }[fault]()
    await identity.authenticate(fit)
    with pytest.raises(InvalidToken):
        await identity.authenticate(token)


async def test_a_token_expires_while_it_is_known(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    token = signer.token(new_id(), UserId(new_id()))
    await identity.authenticate(token)
    in_five_minutes = time.time() + identity.ACCESS_TOKEN_LIFETIME_S
    monkeypatch.setattr(identity, "time", SimpleNamespace(time=lambda: in_five_minutes, monotonic=time.monotonic))
    assert identity.known(token.encode()) is None
    with pytest.raises(InvalidToken, match="expired"):
        await identity.authenticate(token)


async def test_a_revoked_session_counts_no_more(signer: Signer) -> None:
    user_id, ended, other = UserId(new_id()), new_id(), new_id()
    tokens = signer.token(ended, user_id), signer.token(other, user_id)
    for token in tokens:
        await identity.authenticate(token)
    async with write(PLATFORM) as tx:
        await identity.revoke_session(tx, ended, tx.now + timedelta(minutes=5))
    await arrived()
    with pytest.raises(InvalidToken):
        await identity.authenticate(tokens[0])
    await identity.authenticate(tokens[1])


async def test_a_kept_verification_ends_with_its_session(signer: Signer) -> None:
    session_id = new_id()
    token = signer.token(session_id, UserId(new_id()))
    principal = await identity.authenticate(token)
    before = identity.known(token.encode())

    async with write(PLATFORM) as tx:
        await identity.revoke_session(tx, session_id, tx.now + timedelta(minutes=5))
    await arrived()

    assert before is principal
    assert identity.known(token.encode()) is None


async def test_a_kept_verification_counts_not_while_deaf(signer: Signer, deaf: None) -> None:
    token = signer.token(new_id(), UserId(new_id()))
    await identity.authenticate(token)

    assert identity.known(token.encode()) is None


async def test_a_kept_verification_ends_with_its_key(signer: Signer) -> None:
    leaked = await _publish()
    token = leaked.token(new_id(), UserId(new_id()))
    await identity.authenticate(token)

    async with write(PLATFORM) as tx:
        await identity.retire_key(tx, leaked.kid, not_after=tx.now)
    await arrived()

    assert identity.known(token.encode()) is None


async def test_a_revocation_that_is_rolled_back_did_not_happen(signer: Signer) -> None:
    session_id = new_id()
    token = signer.token(session_id, UserId(new_id()))

    async def revoke_and_fail() -> None:
        async with write(PLATFORM) as tx:
            await identity.revoke_session(tx, session_id, tx.now + timedelta(minutes=5))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await revoke_and_fail()
    await arrived()
    await identity.authenticate(token)


async def test_a_process_that_starts_knows_what_was_revoked(signer: Signer) -> None:
    ended, past = new_id(), new_id()
    async with write(PLATFORM) as tx:
        await tx.run(identity.REVOKE, "session", ended, tx.now, tx.now + timedelta(minutes=5))
        await tx.run(identity.REVOKE, "session", past, tx.now, tx.now - timedelta(minutes=5))
    await identity.start()
    with pytest.raises(InvalidToken):
        await identity.authenticate(signer.token(ended, UserId(new_id())))
    await identity.authenticate(signer.token(past, UserId(new_id())))
    async with write(PLATFORM) as tx:
        await tx.run("UPDATE hub.revocations SET expires_at = now() - interval '2 hours' WHERE subject_id = $1", past)
        assert await identity.purge(tx) >= 1


async def test_without_broadcasts_postgres_is_asked(signer: Signer, deaf: None) -> None:
    session_id = new_id()
    token = signer.token(session_id, UserId(new_id()))
    with count_statements() as statements:
        await identity.authenticate(token)
        await identity.authenticate(token)
    assert statements.count == 2
    async with write(PLATFORM) as tx:
        await tx.run(identity.REVOKE, "session", session_id, tx.now, tx.now + timedelta(minutes=5))
    with pytest.raises(InvalidToken):
        await identity.authenticate(token)
    # What was missed is loaded before the cache is trusted again.
    await broadcast.start()
    with pytest.raises(InvalidToken):
        await identity.authenticate(token)
    await broadcast.stop()


async def test_a_leaked_key_is_retired_at_once(process: None) -> None:
    leaked = await _publish()
    token = leaked.token(new_id(), UserId(new_id()))
    await identity.authenticate(token)
    async with write(PLATFORM) as tx:
        await identity.retire_key(tx, leaked.kid, not_after=tx.now)
    await arrived()
    for _ in range(2):
        with pytest.raises(InvalidToken):
            await identity.authenticate(token)


async def test_unknown_keys_do_not_cost_a_query_each(signer: Signer) -> None:
    fit = signer.token(new_id(), UserId(new_id()))
    claims = jwt.decode(fit, options={"verify_signature": False})
    with count_statements() as statements:
        for _ in range(50):
            with pytest.raises(InvalidToken):
                await identity.authenticate(jwt.encode(claims, signer.key, "EdDSA", {"kid": new_id().hex}))
    assert statements.count < 10


async def test_a_service_token_counts_for_its_service_only(process: None) -> None:
    token = identity.issue_service_token("course")
    assert identity.verify_service_token(token, "course") == ()
    assert identity.issue_service_token("course") == token
    with pytest.raises(InvalidToken):
        identity.verify_service_token(token, "user")
    with pytest.raises(InvalidToken):
        identity.verify_service_token(jwt.encode({"aud": "course"}, settings().secrets[""], "HS256"), "course")
    with pytest.raises(InvalidToken):
        await identity.authenticate(token)


Act = Literal["revoke_session", "revoke_user", "sign_in", "reload"]


@given(
    acts=st.lists(
        st.tuples(st.sampled_from(["revoke_session", "revoke_user", "sign_in", "reload"]), st.integers(0, 3)),
        max_size=12,
    )
)
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_cache_and_revocations_agree_with_the_model(signer: Signer, acts: list[tuple[Act, int]]) -> None:
    """Two people with two sessions each: whatever happens, exactly the tokens that should count do, cached or not."""
    people = [UserId(new_id()), UserId(new_id())]
    sessions = [new_id() for _ in range(4)]
    tokens = [(index, signer.token(sessions[index], people[index // 2])) for index in range(4)]
    good = dict.fromkeys(range(4), True)
    ended: set[int] = set()
    for act, which in acts:
        async with write(PLATFORM) as tx:
            if act == "revoke_session":
                await identity.revoke_session(tx, sessions[which], tx.now + timedelta(minutes=5))
                ended.add(which)
                good |= {n: False for n, (index, _) in enumerate(tokens) if index == which}
            elif act == "revoke_user":
                await identity.revoke_user(tx, people[which // 2], datetime.now(UTC))
                good |= {n: False for n, (index, _) in enumerate(tokens) if index // 2 == which // 2}
        if act == "sign_in":
            good[len(tokens)] = which not in ended
            tokens.append((which, signer.token(sessions[which], people[which // 2])))
        elif act == "reload":
            await identity.start()
        await arrived()
        assert [await _counts(token) for _, token in tokens] == list(good.values())
    async with read() as db:
        stands = [
            await db.value(identity.STANDS, signer.kid, sessions[index], people[index // 2], _issued_at(token))
            for index, token in tokens
        ]
    assert stands == list(good.values())


async def _counts(token: str) -> bool:
    try:
        await identity.authenticate(token)
    except InvalidToken:
        return False
    return True


def _issued_at(token: str) -> datetime:
    return datetime.fromtimestamp(jwt.decode(token, options={"verify_signature": False})["iat"], UTC)
