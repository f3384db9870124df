"""What somebody tries who has the old password, somebody's address, or a token that was given for less."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.core.auth.identity import logic as identities
from api.core.auth.signing_key.logic import signing_key
from cluster.base.ids import OrgId, new_id
from cluster.data.postgres import pool
from cluster.people.identity import encode_access_token
from tests.api.core.rbac.test_bounds import until_they_wait
from tests.harness import PASSWORD, Hub, Person, done, problem

NEW = "other words in another row"


@pytest.fixture(autouse=True)
async def forgiven(hub: Hub) -> None:
    async with pool().acquire() as raw:
        await raw.execute("DELETE FROM auth.throttles")


async def sign_in(hub: Hub, email: str, password: str = PASSWORD) -> Any:
    return await hub.guest.post("/v1/sessions", {"email": email, "password": password})


async def with_token(hub: Hub, person: Person, **claims: Any) -> Person:
    """Return the same person with a token that was cut: to scopes, or to an organization."""
    session = done(await person.get("/v1/sessions/me"))
    key, now = await signing_key(), datetime.now(UTC)
    token = encode_access_token(
        key.private,
        key.kid,
        user_id=person.id,
        session_id=UUID(session["id"]),
        auth_time=now,
        amr=["pwd"],
        now=now,
        **claims,
    )
    return hub.signed_in(token, person.id, person.email)


async def test_an_old_password_opens_nothing_that_outlives_its_change(hub: Hub) -> None:
    ada = await hub.person("ada")
    async with pool().acquire() as raw, raw.transaction():
        # Who signs in has proven the old password, and waits here with what follows.
        await raw.execute("LOCK TABLE auth.sessions IN SHARE MODE")
        thief = asyncio.create_task(sign_in(hub, ada.email))
        await until_they_wait(1)
        change = {"password": PASSWORD, "new_password": NEW}
        done(await ada.post("/v1/identities/me/change-password", change))
    problem(await thief, 401, "wrong-credentials")
    assert len(done(await ada.get("/v1/sessions"))["items"]) == 1


async def test_changing_the_password_takes_back_links_to_a_new_one(hub: Hub) -> None:
    ada = await hub.person("ada")
    assert (await hub.guest.post("/v1/identities/-/forgot", {"email": ada.email})).status_code == 204
    await hub.settle()
    token = (await hub.letters(ada.email))[0].token
    done(await ada.post("/v1/identities/me/change-password", {"password": PASSWORD, "new_password": NEW}))
    refused = await hub.guest.post("/v1/identities/-/reset", {"token": token, "password": "the thief's own words"})
    problem(refused, 409, "link-over")
    done(await sign_in(hub, ada.email, NEW), 201)


async def test_nobody_fills_anothers_mailbox(hub: Hub) -> None:
    ada = await hub.person("ada")
    for _ in range(12):
        assert (await hub.guest.post("/v1/identities/-/forgot", {"email": ada.email})).status_code == 204
        await hub.settle()
    letters = await hub.letters(ada.email)
    assert [letter.subject for letter in letters].count("Choose a new password") == 5
    reset = {"token": letters[0].token, "password": NEW}
    assert (await hub.guest.post("/v1/identities/-/reset", reset)).status_code == 204, "the last one still works"


async def test_ones_own_letters_are_bounded_too_and_one_is_told(hub: Hub) -> None:
    eve = await hub.person("eve")
    victim = f"victim-{new_id().hex}@people.example"
    change = {"email": victim, "password": PASSWORD}
    answers = [await eve.post("/v1/users/me/change-email", change) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
    assert problem(answers[-1], 429, "too-many-letters")
    assert int(answers[-1].headers["Retry-After"]) > 60
    assert len(await hub.letters(victim)) == 4
    problem(await eve.post("/v1/users/me/resend-verification"), 429, "too-many-letters")


async def test_sessions_of_one_person_are_bounded_and_the_longest_unused_end(hub: Hub) -> None:
    ada = await hub.person("ada")
    async with pool().acquire() as raw:
        await raw.execute(
            """INSERT INTO auth.sessions (id, user_id, salt, rotated_at, transport, auth_time, amr, user_agent, address,
                                          created_at, expires_at)
               SELECT gen_random_uuid(), user_id, salt, now() - make_interval(days => 1, secs => n), transport, auth_time, amr,
                      user_agent, address, created_at, expires_at
               FROM auth.sessions, generate_series(1, 150) AS n WHERE user_id = $1""",
            ada.id,
        )
    session = done(await sign_in(hub, ada.email), 201)
    async with pool().acquire() as raw:
        live = await raw.fetch(
            "SELECT id, rotated_at FROM auth.sessions WHERE user_id = $1 AND ended_at IS NULL", ada.id
        )
        rested = await raw.fetchval("SELECT max(now() - rotated_at) FROM auth.sessions WHERE ended_at IS NULL")
    assert len(live) == 100
    assert UUID(session["id"]) in {row["id"] for row in live}
    assert rested < timedelta(days=1, seconds=120), "who used it lately keeps it"
    done(await ada.get("/v1/users/me"))
    told = [event for event in await hub.events("session.ended") if event.payload["user_id"] == str(ada.id)]
    assert [event.payload["reason"] for event in told] == ["crowded_out"] * 52


async def test_a_session_that_ended_is_forgotten_a_month_later(hub: Hub) -> None:
    ada = await hub.person("ada")
    session = done(await ada.post("/v1/sessions/me/end"))
    assert session["expires_at"] == session["ended_at"]


async def test_a_wrong_link_costs_no_hashing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: str) -> str:
        raise AssertionError("hashed for a stranger")

    monkeypatch.setattr(identities, "hash_password", never)
    problem(await hub.guest.post("/v1/identities/-/reset", {"token": "guessed", "password": NEW}), 409, "link-over")


async def test_a_token_for_less_reaches_no_more(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    reader = await with_token(hub, ada, scopes=frozenset({"course:read"}))
    assert done(await reader.get("/v1/sessions"))["items"] == []
    here = {"organization_id": str(school.org_id)}
    invited = {"token": done(await school.owner.post("/v1/invitations", here), 201)["token"]}
    problem(await reader.post("/v1/invitations/-/accept", invited), 404, "invitation-not-found")
    letter = {"token": (await hub.letters(ada.email))[0].token}
    problem(await reader.post("/v1/users/me/verify-email", letter), 404)
    problem(await reader.post("/v1/sessions/me/reauthenticate", {"password": PASSWORD}), 404)
    bound = await with_token(hub, ada, bound_org=OrgId(new_id()))
    problem(await bound.post("/v1/invitations/-/accept", invited), 404, "invitation-not-found")
    there = await with_token(hub, ada, bound_org=school.org_id)
    done(await there.post("/v1/invitations/-/accept", invited))
