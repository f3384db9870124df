"""Sessions over HTTP: signing in, refreshing, ending, and what guessers meet."""

import asyncio
from typing import Any
from uuid import UUID

import jwt
import pytest

from cluster.base.ids import new_id
from cluster.data import Connection
from cluster.data.postgres import pool
from cluster.http.admission import sign_ins
from tests.harness import PASSWORD, Hub, done, problem


async def sign_in(hub: Hub, email: str, password: str = PASSWORD, **fields: Any) -> dict[str, Any]:
    return done(await hub.guest.post("/v1/sessions", {"email": email, "password": password, **fields}), 201)


async def refresh(hub: Hub, token: str) -> Any:
    return await hub.guest.post("/v1/sessions/me/refresh", {"refresh_token": token})


async def me(hub: Hub, token: str) -> int:
    answer = await hub.guest.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def age(session_id: str, seconds: int) -> None:
    """Make the session's last rotation happen earlier."""
    async with pool().acquire() as raw:
        done = await raw.execute(
            "UPDATE auth.sessions SET rotated_at = rotated_at - make_interval(secs => $2) WHERE id = $1",
            UUID(session_id),
            float(seconds),
        )
    assert done == "UPDATE 1"


@pytest.fixture(autouse=True)
async def forgiven(hub: Hub) -> None:
    """Forget who guessed in the tests before: all of them come from one address."""
    async with pool().acquire() as raw:
        await raw.execute("DELETE FROM auth.throttles")


async def test_wrong_password_and_unknown_account_look_the_same(hub: Hub) -> None:
    ada = await hub.person("ada")
    wrong = await hub.guest.post("/v1/sessions", {"email": ada.email, "password": "not this one"})
    unknown = await hub.guest.post(
        "/v1/sessions", {"email": f"nobody-{new_id().hex}@people.example", "password": "not this one"}
    )
    malformed = await hub.guest.post("/v1/sessions", {"email": "not an address", "password": "not this one"})
    documents = [problem(answer, 401, "wrong-credentials") for answer in (wrong, unknown, malformed)]
    for document in documents:
        document.pop("trace_id")
    assert documents[0] == documents[1] == documents[2]
    assert wrong.headers["WWW-Authenticate"]


async def test_guessers_wait_longer_and_longer_with_and_without_an_account(hub: Hub) -> None:
    ada = await hub.person("ada")
    for email in (ada.email, f"nobody-{new_id().hex}@people.example"):
        guess = {"email": email, "password": "not this one"}
        for _ in range(5):
            problem(await hub.guest.post("/v1/sessions", guess), 401)
        refused = await hub.guest.post("/v1/sessions", {"email": email, "password": PASSWORD})
        problem(refused, 429, "too-many-guesses")
        assert 1 <= int(refused.headers["Retry-After"]) <= 2
        async with pool().acquire() as raw:
            await raw.execute("UPDATE auth.throttles SET blocked_until = now()")
        problem(await hub.guest.post("/v1/sessions", guess), 401)
        refused = await hub.guest.post("/v1/sessions", guess)
        assert 2 <= int(refused.headers["Retry-After"]) <= 4


async def test_a_success_forgets_the_failures(hub: Hub) -> None:
    ada = await hub.person("ada")
    for _ in range(4):
        problem(await hub.guest.post("/v1/sessions", {"email": ada.email, "password": "not this one"}), 401)
    await sign_in(hub, ada.email)
    for _ in range(4):
        problem(await hub.guest.post("/v1/sessions", {"email": ada.email, "password": "not this one"}), 401)
    await sign_in(hub, ada.email)


async def test_guesses_at_once_count_each(hub: Hub) -> None:
    ada = await hub.person("ada")
    guess = {"email": ada.email, "password": "not this one"}
    answers = await asyncio.gather(*(hub.guest.post("/v1/sessions", guess) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_refreshing_gives_new_tokens_and_keeps_the_session(hub: Hub) -> None:
    ada = await hub.person("ada")
    first = await sign_in(hub, ada.email)
    second = done(await refresh(hub, first["refresh_token"]))
    assert second["id"] == first["id"]
    assert second["refresh_token"] != first["refresh_token"]
    assert await me(hub, second["access_token"]) == 200
    third = done(await refresh(hub, second["refresh_token"]))
    assert await me(hub, third["access_token"]) == 200


async def test_who_lost_the_answer_gets_the_same_successor(hub: Hub) -> None:
    ada = await hub.person("ada")
    first = await sign_in(hub, ada.email)
    answers = await asyncio.gather(*(refresh(hub, first["refresh_token"]) for _ in range(5)))
    assert len({done(answer)["refresh_token"] for answer in answers}) == 1, "the chain never forks"
    done(await refresh(hub, answers[0].json()["refresh_token"]))


async def test_a_token_used_late_again_ends_the_session(hub: Hub) -> None:
    ada = await hub.person("ada")
    first = await sign_in(hub, ada.email)
    second = done(await refresh(hub, first["refresh_token"]))
    await age(first["id"], 11)
    problem(await refresh(hub, first["refresh_token"]), 401, "refresh-refused")
    problem(await refresh(hub, second["refresh_token"]), 401, "refresh-refused")
    await hub.broadcasts_arrived()
    assert await me(hub, second["access_token"]) == 401
    assert [e.payload["reason"] for e in await hub.events("session.ended") if e.subject == first["id"]] == ["reuse"]


async def test_a_token_two_rotations_old_ends_the_session_at_once(hub: Hub) -> None:
    ada = await hub.person("ada")
    first = await sign_in(hub, ada.email)
    second = done(await refresh(hub, first["refresh_token"]))
    third = done(await refresh(hub, second["refresh_token"]))
    problem(await refresh(hub, first["refresh_token"]), 401)
    problem(await refresh(hub, third["refresh_token"]), 401)


async def test_forged_tokens_end_nothing(hub: Hub) -> None:
    ada = await hub.person("ada")
    session = await sign_in(hub, ada.email)
    done(await refresh(hub, session["refresh_token"]))
    sid, generation, proof = session["refresh_token"].split(".")
    for forged in (
        f"{sid}.{generation}.{'A' * len(proof)}",
        f"{sid}.7.{proof}",
        f"{new_id().hex}.0.{proof}",
        "nonsense",
        f"{sid}.0.\u0661",
    ):
        problem(await refresh(hub, forged), 401, "refresh-refused")
    assert await me(hub, session["access_token"]) == 200


async def test_sessions_are_listed_and_ended_elsewhere(hub: Hub) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    other = await sign_in(hub, ada.email)
    listed = done(await ada.get("/v1/sessions"))["items"]
    assert [(session["id"] == other["id"], session["current"]) for session in listed] == [(True, False), (False, True)]
    problem(await eve.post(f"/v1/sessions/{other['id']}/end"), 404, "session-not-found")
    assert done(await ada.post(f"/v1/sessions/{other['id']}/end"))["ended_at"]
    await hub.broadcasts_arrived()
    assert await me(hub, other["access_token"]) == 401
    problem(await refresh(hub, other["refresh_token"]), 401)
    assert len(done(await ada.get("/v1/sessions"))["items"]) == 1
    done(await ada.post("/v1/sessions/me/end"))
    await hub.broadcasts_arrived()
    problem(await ada.get("/v1/users/me"), 401)


async def test_browsers_get_the_refresh_token_in_a_cookie_only(hub: Hub) -> None:
    ada = await hub.person("ada")
    answer = await hub.guest.post("/v1/sessions", {"email": ada.email, "password": PASSWORD, "transport": "cookie"})
    assert done(answer, 201)["refresh_token"] is None
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    token = cookie.split(";")[0].split("=", 1)[1]
    again = await hub.guest.post("/v1/sessions/me/refresh", {}, headers={"Cookie": f"hub_refresh={token}"})
    assert done(again)["refresh_token"] is None
    assert token not in again.headers["set-cookie"]
    hub.guest.client.cookies.clear()
    problem(await hub.guest.post("/v1/sessions/me/refresh", {}), 401, "refresh-refused")


async def test_access_tokens_verify_with_the_published_keys(hub: Hub) -> None:
    ada = await hub.person("ada")
    session = await sign_in(hub, ada.email)
    keys = {key["kid"]: jwt.PyJWK(key) for key in done(await hub.guest.get("/.well-known/jwks.json"))["keys"]}
    token = session["access_token"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], options={"verify_aud": False, "verify_iat": False})
    assert (claims["sub"], claims["sid"], claims["amr"]) == (str(ada.id), session["id"], ["pwd"])
    assert not {"email", "name", "roles"} & claims.keys()


async def test_secrets_reach_neither_database_nor_events(hub: Hub) -> None:
    ada = await hub.person("ada")
    session = await sign_in(hub, ada.email)
    secrets = (PASSWORD, session["refresh_token"], session["access_token"], ada.email)
    async with pool().acquire() as raw:
        rows = [dict(row) for row in await raw.fetch("SELECT * FROM auth.sessions WHERE user_id = $1", ada.id)]
        rows += [dict(row) for row in await raw.fetch("SELECT envelope FROM hub.outbox")]
        rows += [dict(row) for row in await raw.fetch("SELECT args FROM hub.jobs")]
    text = str(rows)
    assert not [secret for secret in secrets if secret in text]


async def test_refreshing_is_two_statements_on_the_primary_key(hub: Hub) -> None:
    from api.core.auth.session.store import LOCK_SESSION

    ada = await hub.person("ada")
    session = await sign_in(hub, ada.email)
    with hub.statements() as counted:
        done(await refresh(hub, session["refresh_token"]))
    assert counted.count <= 4, counted.sql
    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(
            row[0] for row in await Connection(raw).rows("EXPLAIN " + LOCK_SESSION, session_id=UUID(session["id"]))
        )
    assert "sessions_pkey" in plan


async def test_signing_in_stays_within_the_budget(hub: Hub) -> None:
    ada = await hub.person("ada")
    with hub.statements() as counted:
        await sign_in(hub, ada.email)
    assert counted.count <= 5, counted.sql


async def test_step_up_makes_the_sign_in_recent(hub: Hub) -> None:
    ada = await hub.person("ada")
    async with pool().acquire() as raw:
        await raw.execute(
            "UPDATE auth.sessions SET auth_time = auth_time - interval '1 day' WHERE user_id = $1", ada.id
        )
    problem(await ada.post("/v1/sessions/me/reauthenticate", {"password": "not this one"}), 403, "wrong-password")
    renewed = done(await ada.post("/v1/sessions/me/reauthenticate", {"password": PASSWORD}))
    claims = jwt.decode(renewed["access_token"], options={"verify_signature": False})
    assert claims["iat"] - claims["auth_time"] < 60


async def test_guests_have_no_sessions(hub: Hub) -> None:
    problem(await hub.guest.get("/v1/sessions"), 401)
    problem(await hub.guest.post("/v1/sessions/me/end"), 401)
    problem(await hub.guest.get("/v1/identities/me"), 401)


def test_sign_in_and_sign_up_are_limited_by_address(hub: Hub) -> None:
    assert {"auth", "user"} <= set(hub.services)

    assert sign_ins >= {("POST", "/v1/sessions"), ("POST", "/v1/users")}
