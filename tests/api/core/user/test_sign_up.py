"""Signing up: what is taken, what is refused, and what happens when it breaks off."""

import asyncio
from typing import Any, cast
from uuid import UUID

from api.core.auth.contract import AuthCalls
from api.core.user import store
from api.core.user.jobs import clear_broken_sign_ups
from cluster.base.ids import UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import write
from cluster.data.postgres import pool
from cluster.people.calls import client
from tests.harness import PASSWORD, Hub, done, problem


def new_email() -> str:
    return f"Ada.{new_id().hex[-12:]}@people.example"


async def test_sign_up_sign_in_and_found_an_organization(hub: Hub) -> None:
    email = new_email()
    user = done(
        await hub.guest.post(
            "/v1/users", {"email": email, "password": PASSWORD, "name": "Ada Lovelace", "locale": "en-GB"}
        ),
        201,
    )
    assert {key: user[key] for key in ("email", "name", "locale", "email_verified")} == {
        "email": email,
        "name": "Ada Lovelace",
        "locale": "en-GB",
        "email_verified": False,
    }
    assert UUID(user["id"]).version == 7

    session = done(await hub.guest.post("/v1/sessions", {"email": email.upper(), "password": PASSWORD}), 201)
    assert session["token_type"] == "Bearer"
    assert session["expires_in"] == 300
    assert session["refresh_token"]

    token = {"Authorization": f"Bearer {session['access_token']}"}
    assert done(await hub.guest.get("/v1/users/me", headers=token)) == user

    slug = f"school-{new_id().hex[-12:]}"
    organization = done(
        await hub.guest.post("/v1/organizations", {"name": "Analytical School", "slug": slug}, headers=token), 201
    )
    assert (organization["name"], organization["slug"]) == ("Analytical School", slug)
    mine = done(await hub.guest.get("/v1/organizations", headers=token))
    assert mine == {"items": [organization], "next_cursor": None}


def new_user(email: str, **fields: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD, "name": "Ada Lovelace", **fields}


async def orphan(email: str, password: str = PASSWORD) -> UserId:
    """Leave what a sign-up leaves that dies between its two commits."""
    user_id = UserId(new_id())
    registered = await client(AuthCalls).create_identity(user_id, email, password)
    assert registered.created
    return user_id


async def age(user_id: UserId, seconds: int) -> None:
    async with pool().acquire() as raw:
        await raw.execute(
            "UPDATE auth.identities SET created_at = created_at - make_interval(secs => $2) WHERE user_id = $1",
            user_id,
            float(seconds),
        )


async def test_each_fault_names_its_field(hub: Hub) -> None:
    cases: list[tuple[dict[str, object], list[str]]] = [
        ({"email": "no address"}, ["/email"]),
        ({"email": "ada@localhost"}, ["/email"]),
        ({"password": "1234567"}, ["/password"]),
        ({"password": "password123"}, ["/password"]),
        ({"name": "   "}, ["/name"]),
        ({"name": "Ada\u202eecalevoL"}, ["/name"]),
        ({"name": "Ada\nLovelace"}, ["/name"]),
        ({"locale": "english!"}, ["/locale"]),
        ({"admin": True}, ["/admin"]),
    ]
    for fault, pointers in cases:
        document = problem(await hub.guest.post("/v1/users", {**new_user(new_email()), **fault}), 422)
        assert [error["pointer"] for error in document["errors"]] == pointers, fault
        assert all(error["detail"] for error in document["errors"])


async def test_a_name_shows_something(hub: Hub) -> None:
    for name in ("\u200d", "\u3164", "\u2800 \u2800", "\u115f\u1160", "\u200b", "Ada\u202eevE"):
        document = problem(await hub.guest.post("/v1/users", new_user(new_email(), name=name)), 422)
        assert [error["pointer"] for error in document["errors"]] == ["/name"]


async def test_names_of_the_world_are_taken(hub: Hub) -> None:
    for name in ("Ada", "José Ángel", "李小龍", "نیما یوشیج‌ها", "O’Brien-Smith", "Nguyễn Thị", "😀 Ada"):
        assert done(await hub.guest.post("/v1/users", new_user(new_email(), name=name)), 201)["name"] == name


async def test_an_address_has_one_account_even_for_twins(hub: Hub) -> None:
    email = new_email()
    twins = [
        new_user(spelled, password=f"a sentence by twin {n}") for n, spelled in enumerate((email, email.upper()) * 2)
    ]
    answers = await asyncio.gather(*(hub.guest.post("/v1/users", twin) for twin in twins))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    winner = next(n for n, answer in enumerate(answers) if answer.status_code == 201)
    session = await hub.guest.post("/v1/sessions", {"email": email, "password": twins[winner]["password"]})
    assert done(session, 201)["user_id"] == answers[winner].json()["id"], "who was told 201 can sign in"
    document = problem(await hub.guest.post("/v1/users", new_user(email)), 409, "email-taken")
    assert [error["pointer"] for error in document["errors"]] == ["/email"]


async def test_the_same_request_twice_at_once_makes_one_account(hub: Hub) -> None:
    email = new_email()
    answers = await asyncio.gather(*(hub.guest.post("/v1/users", new_user(email)) for _ in range(4)))
    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.status_code for answer in answers} == {201, 409}


async def test_a_repeated_key_gives_the_same_account(hub: Hub) -> None:
    email, key = new_email(), {"Idempotency-Key": new_id().hex}
    first = await hub.guest.post("/v1/users", new_user(email), headers=key)
    again = await hub.guest.post("/v1/users", new_user(email), headers=key)
    assert (done(first, 201), again.headers["Idempotent-Replayed"]) == (done(again, 201), "true")
    problem(await hub.guest.post("/v1/users", new_user(new_email()), headers=key), 422, "key-reused")


async def test_a_broken_sign_up_is_finished_by_trying_again(hub: Hub) -> None:
    email = new_email()
    user_id = await orphan(email)
    assert done(await hub.guest.post("/v1/users", new_user(email)), 201)["id"] == str(user_id)
    done(await hub.guest.post("/v1/sessions", {"email": email, "password": PASSWORD}), 201)


async def test_a_broken_sign_up_is_taken_over_once_it_is_old(hub: Hub) -> None:
    email = new_email()
    user_id = await orphan(email, "the words of who came first")
    problem(await hub.guest.post("/v1/users", new_user(email)), 409, "email-taken")
    await age(user_id, 11)
    made = done(await hub.guest.post("/v1/users", new_user(email)), 201)
    assert made["id"] != str(user_id)
    done(await hub.guest.post("/v1/sessions", {"email": email, "password": PASSWORD}), 201)
    first = await hub.guest.post("/v1/sessions", {"email": email, "password": "the words of who came first"})
    problem(first, 401)


async def test_a_slow_twin_cannot_finish_what_was_taken_over(hub: Hub) -> None:
    email = new_email()
    user_id = await orphan(email, "the words of who came first")
    await age(user_id, 11)
    done(await hub.guest.post("/v1/users", new_user(email)), 201)
    async with write(PLATFORM) as tx:
        assert await store.insert_user(tx, user_id, email=email, name="Slow", locale="en") is None


async def test_a_sign_up_that_was_taken_over_is_refused(hub: Hub) -> None:
    email = new_email()
    user_id = await orphan(email)
    async with write(PLATFORM) as tx:
        await store.upsert_abandoned(tx, user_id)

    answer = await hub.guest.post("/v1/users", new_user(email))

    document = problem(answer, 409, "sign-up-taken-over")
    assert [error["pointer"] for error in document["errors"]] == ["/email"]


class Run:
    """What a cron job needs of its run."""

    principal = PLATFORM

    async def extend(self) -> None: ...


async def test_what_nobody_finished_is_cleared_away(hub: Hub) -> None:
    email = new_email()
    user_id = await orphan(email)
    kept = await hub.person("kept")
    for each in (user_id, kept.id):
        await age(each, 90_000)
    await clear_broken_sign_ups(cast(Any, Run()))
    assert await client(AuthCalls).address_of(user_id) is None
    assert await client(AuthCalls).address_of(kept.id) is not None
