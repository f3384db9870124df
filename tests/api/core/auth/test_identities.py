"""Addresses and passwords: verifying, changing, resetting, and the keys that sign."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.core.auth.addresses import key_of, parse_address
from api.core.auth.contract import EmailInvalid, PasswordRefused
from api.core.auth.passwords import check_password
from api.core.auth.signing_key import logic as keys
from api.core.auth.signing_key.logic import PUBLISHED_AHEAD, SIGNING_PERIOD
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.base.sealing import SealBroken, seal, unseal
from cluster.data import write
from cluster.data.postgres import pool
from tests.harness import PASSWORD, Hub, Person, done, problem

NEW = "other words in another row"


@pytest.fixture(autouse=True)
async def forgiven(hub: Hub) -> None:
    async with pool().acquire() as raw:
        await raw.execute("DELETE FROM auth.throttles")


async def sign_in(hub: Hub, email: str, password: str) -> Any:
    return await hub.guest.post("/v1/sessions", {"email": email, "password": password})


async def other_session(hub: Hub, person: Person) -> dict[str, str]:
    token = done(await sign_in(hub, person.email, PASSWORD), 201)["access_token"]
    return {"Authorization": f"Bearer {token}"}


async def test_verifying_an_address_ends_other_sessions(hub: Hub) -> None:
    ada = await hub.person("ada")
    other = await other_session(hub, ada)
    token = (await hub.letters(ada.email))[0].token
    assert done(await ada.post("/v1/users/me/verify-email", {"token": token}))["email_verified"] is True
    await hub.broadcasts_arrived()
    problem(await hub.guest.get("/v1/users/me", headers=other), 401)
    assert done(await ada.get("/v1/users/me"))["email_verified"] is True
    assert done(await ada.post("/v1/users/me/verify-email", {"token": token}))["email_verified"] is True


async def test_a_link_counts_only_for_who_is_signed_in_to_the_account(hub: Hub) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    token = (await hub.letters(ada.email))[0].token
    problem(await eve.post("/v1/users/me/verify-email", {"token": token}), 409, "link-over")
    problem(await hub.guest.post("/v1/users/me/verify-email", {"token": token}), 401)
    assert done(await ada.get("/v1/identities/me"))["email_verified"] is False


async def test_only_the_last_link_works_and_only_in_its_time(hub: Hub) -> None:
    ada = await hub.person("ada")
    first = (await hub.letters(ada.email))[0].token
    done(await ada.post("/v1/users/me/resend-verification"))
    second = (await hub.letters(ada.email))[0].token
    assert first != second
    problem(await ada.post("/v1/users/me/verify-email", {"token": first}), 409, "link-over")
    async with pool().acquire() as raw:
        await raw.execute("UPDATE auth.mail_tokens SET expires_at = now() WHERE user_id = $1", ada.id)
    problem(await ada.post("/v1/users/me/verify-email", {"token": second}), 409, "link-over")


async def test_a_new_address_counts_once_it_is_verified(hub: Hub) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    new = f"ada-{new_id().hex}@college.example"
    path = "/v1/users/me/change-email"
    problem(await ada.post(path, {"email": new, "password": "not this one"}), 403, "wrong-password")
    problem(await ada.post(path, {"email": eve.email, "password": PASSWORD}), 409, "email-taken")
    problem(await ada.post(path, {"email": "no address", "password": PASSWORD}), 422, "email-invalid")
    assert done(await ada.post(path, {"email": new, "password": PASSWORD}))["email"] == ada.email
    done(await sign_in(hub, ada.email, PASSWORD), 201)
    token = (await hub.letters(new))[0].token
    changed = done(await ada.post("/v1/users/me/verify-email", {"token": token}))
    assert (changed["email"], changed["email_verified"]) == (new, True)
    problem(await sign_in(hub, ada.email, PASSWORD), 401)
    done(await sign_in(hub, new, PASSWORD), 201)


async def test_two_who_verify_one_address_end_with_one_owner(hub: Hub) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    new = f"wanted-{new_id().hex}@college.example"
    for person in (ada, eve):
        done(await person.post("/v1/users/me/change-email", {"email": new, "password": PASSWORD}))
    tokens = [letter.token for letter in await hub.letters(new)]
    answers = await asyncio.gather(
        ada.post("/v1/users/me/verify-email", {"token": tokens[1]}),
        eve.post("/v1/users/me/verify-email", {"token": tokens[0]}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_changing_the_password_ends_other_sessions(hub: Hub) -> None:
    ada = await hub.person("ada")
    other = await other_session(hub, ada)
    path = "/v1/identities/me/change-password"
    problem(await ada.post(path, {"password": "not this one", "new_password": NEW}), 403, "wrong-password")
    problem(await ada.post(path, {"password": PASSWORD, "new_password": "12345678"}), 422, "password-refused")
    done(await ada.post(path, {"password": PASSWORD, "new_password": NEW}))
    await hub.broadcasts_arrived()
    problem(await hub.guest.get("/v1/users/me", headers=other), 401)
    done(await ada.get("/v1/users/me"))
    problem(await sign_in(hub, ada.email, PASSWORD), 401)
    done(await sign_in(hub, ada.email, NEW), 201)


async def test_a_mailed_link_sets_a_new_password_once(hub: Hub) -> None:
    ada = await hub.person("ada")
    assert (await hub.guest.post("/v1/identities/-/forgot", {"email": ada.email.upper()})).status_code == 204
    await hub.settle()
    token = (await hub.letters(ada.email))[0].token
    problem(await hub.guest.post("/v1/identities/-/reset", {"token": token, "password": "short"}), 422)
    answers = await asyncio.gather(
        *(hub.guest.post("/v1/identities/-/reset", {"token": token, "password": NEW}) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409, 409]
    await hub.broadcasts_arrived()
    problem(await ada.get("/v1/users/me"), 401)
    problem(await sign_in(hub, ada.email, PASSWORD), 401)
    session = done(await sign_in(hub, ada.email, NEW), 201)
    await hub.settle()
    again = {"Authorization": f"Bearer {session['access_token']}"}
    assert done(await hub.guest.get("/v1/users/me", headers=again))["email_verified"] is True


async def test_forgetting_tells_nobody_who_has_an_account(hub: Hub) -> None:
    ada = await hub.person("ada")
    answers: list[Any] = []
    statements: list[list[str]] = []
    for email in (ada.email, f"nobody-{new_id().hex}@people.example", "not an address"):
        with hub.statements() as counted:
            answers.append(await hub.guest.post("/v1/identities/-/forgot", {"email": email}))
        statements.append(counted.sql)
    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert statements[0] == statements[1] == statements[2], "the same work for all"


async def test_letters_rest_sealed_until_they_are_handed_over(hub: Hub) -> None:
    ada = await hub.person("ada")
    waiting = await pool_value("SELECT sealed FROM auth.mails WHERE user_id = $1", ada.id)

    [letter] = await hub.letters(ada.email)

    assert b"http" not in waiting
    assert ada.email.encode() not in waiting
    assert await pool_value("SELECT sealed FROM auth.mails WHERE user_id = $1", ada.id) == b""
    async with pool().acquire() as raw:
        kept = await raw.fetch("SELECT * FROM auth.mail_tokens WHERE user_id = $1", ada.id)
    assert letter.token not in str(kept)


async def pool_value(sql: str, *args: object) -> Any:
    async with pool().acquire() as raw:
        return await raw.fetchval(sql, *args)


def test_what_was_sealed_opens_for_its_purpose_only() -> None:
    sealed = seal("auth", "mail", b"content")
    assert unseal("auth", "mail", sealed) == b"content"
    for purpose, content in (("key", sealed), ("mail", sealed[:-1] + bytes([sealed[-1] ^ 1])), ("mail", b"")):
        with pytest.raises(SealBroken):
            unseal("auth", purpose, content)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ada@School.Example", "ada@school.example"),
        ("  ada@school.example ", "ada@school.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
        ("o'hara+learn@a.b.test", "o'hara+learn@a.b.test"),
        ("ада@школа.example", "ада@xn--80aa2bkf8d.example"),
    ],
)
def test_addresses_are_compared_as_people_expect(text: str, key: str) -> None:
    address = parse_address(text)
    assert parse_address(address.email).key == address.key
    if text != "ада@школа.example":
        assert address.key == key
    else:
        assert address.key.startswith("ада@xn--")


@given(st.from_regex(r"[A-Za-z0-9._%+-]{1,20}@[A-Za-z0-9.-]{1,20}", fullmatch=True))
@example("Ada.L+1@School.Example")
@example("ada@XN--BCHER-KVA.example")
def test_a_plain_address_is_compared_as_if_it_were_parsed(text: str) -> None:
    try:
        key = parse_address(text).key
    except EmailInvalid:
        key = text.casefold()

    assert key_of(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ada@",
        "@school.example",
        "a b@c.example",
        "ada@localhost",
        "ada@x.local",
        "ada@[127.0.0.1]",
        "a@b@c.example",
        "ada@school..example",
        "ada@school.example\r\nBcc: eve@x.example",
        "a" * 65 + "@school.example",
        "ada@192.168.0.1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(EmailInvalid):
        parse_address(text)


@pytest.mark.parametrize(
    "password", ["", "1234567", "password", "PASSWORD123", "qwertyuiop", "aaaaaaaaaaaa", "x" * 1025]
)
def test_passwords_that_are_guessed_first_are_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        check_password(password)


@pytest.mark.parametrize("password", ["correct horse", "пароль-слово", "      xyz", "8 charts", "abcd" * 256])
def test_any_other_password_is_taken(password: str) -> None:
    check_password(password)


async def test_keys_are_public_before_they_sign_and_overlap(hub: Hub) -> None:
    await hub.person("ada")
    async with pool().acquire() as raw:
        before = await raw.fetch("SELECT kid, signs_until FROM auth.signing_keys WHERE withdrawn_at IS NULL")
    until = max(row["signs_until"] for row in before)
    assert await keys.rotate(now=datetime.now(UTC)) == [], "nothing to do yet"
    made = await asyncio.gather(*(keys.rotate(now=until - PUBLISHED_AHEAD) for _ in range(3)))
    assert sorted(len(each) for each in made) == [0, 0, 1], "twins make the next key once"
    [kid] = [kid for each in made for kid in each]
    async with pool().acquire() as raw:
        row = await raw.fetchrow("SELECT signs_from, signs_until FROM auth.signing_keys WHERE kid = $1", kid)
        public = await raw.fetchrow("SELECT not_before, not_after FROM hub.verification_keys WHERE kid = $1", kid)
    assert row is not None
    assert public is not None
    assert public["not_before"] < datetime.now(UTC)
    assert row["signs_from"] < until < row["signs_until"] == until + SIGNING_PERIOD
    assert public["not_after"] > row["signs_until"] + timedelta(minutes=5)


async def test_a_withdrawn_key_signs_and_counts_no_more(hub: Hub) -> None:
    ada = await hub.person("ada")
    kid = (await keys.signing_key()).kid
    async with write(PLATFORM) as tx:
        await keys.withdraw(tx, kid)
    await hub.broadcasts_arrived()
    problem(await ada.get("/v1/users/me"), 401)
    session = done(await sign_in(hub, ada.email, PASSWORD), 201)
    assert jwt.get_unverified_header(session["access_token"])["kid"] != kid
    done(await hub.guest.get("/v1/users/me", headers={"Authorization": f"Bearer {session['access_token']}"}))


async def test_private_keys_are_sealed_and_an_unreadable_key_is_replaced(hub: Hub) -> None:
    await hub.person("ada")
    async with pool().acquire() as raw:
        await raw.execute("UPDATE auth.signing_keys SET sealed = public_key")
    async with write(PLATFORM) as tx:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        from cluster.people.identity import publish_key  # the announcement makes every process load its keys again

        now = datetime.now(UTC)
        public = Ed25519PrivateKey.generate().public_key()
        await publish_key(tx, f"test-{new_id().hex}", public, not_before=now, not_after=now + timedelta(minutes=1))
    await hub.broadcasts_arrived()
    eve = await hub.person("eve")
    done(await eve.get("/v1/users/me"))
