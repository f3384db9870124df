"""A ban on the platform locks the account, and a reversal unlocks it, in whatever order both are heard of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from api.platform.moderation.contract import CaseId, Decided, DecisionId
from cluster.base.ids import new_id
from tests.harness import PASSWORD, Hub, Person, done, problem


def ban(person: Person, **fields: Any) -> Decided:
    return Decided(
        case_id=CaseId(new_id()),
        decision_id=DecisionId(new_id()),
        kind="user",
        thing_id=person.id,
        user_id=person.id,
        actions=("ban",),
        in_force=(),
        **{"org_id": None, **fields},
    )


def reversal(first: Decided) -> Decided:
    return replace(first, decision_id=DecisionId(new_id()), actions=(), until_at=None, reverses_id=first.decision_id)


async def sign_in(hub: Hub, person: Person, password: str = PASSWORD) -> Any:
    return await hub.guest.post("/v1/sessions", {"email": person.email, "password": password})


async def test_a_ban_ends_sessions_and_refuses_new_ones(hub: Hub) -> None:
    ada = await hub.person("ada")
    session = done(await sign_in(hub, ada), 201)

    await hub.old_news(ban(ada), 1)
    await hub.settle()
    await hub.broadcasts_arrived()

    refused = problem(await sign_in(hub, ada), 403, "account-locked")
    assert (refused["until"], "reasons" in refused["detail"]) == (None, True)
    problem(await sign_in(hub, ada, "another password"), 401, "wrong-credentials")
    problem(await ada.get("/v1/sessions"), 401)
    refreshed = await hub.guest.post("/v1/sessions/me/refresh", {"refresh_token": session["refresh_token"]})
    problem(refreshed, 401, "refresh-refused")


async def test_a_reversal_unlocks_an_account(hub: Hub) -> None:
    ada = await hub.person("ada")
    first, second = ban(ada), ban(ada)
    for number, each in enumerate((first, second, reversal(first), first)):
        await hub.old_news(each, number + 1)
    still = await sign_in(hub, ada)

    await hub.old_news(reversal(second), 5)

    problem(still, 403, "account-locked")
    done(await sign_in(hub, ada), 201)
    await hub.settle()


async def test_a_ban_that_comes_after_its_reversal_locks_nothing(hub: Hub) -> None:
    ada = await hub.person("ada")
    decision = ban(ada)

    for number, each in enumerate((reversal(decision), decision)):
        await hub.old_news(each, number + 1)

    done(await ada.get("/v1/sessions"))
    done(await sign_in(hub, ada), 201)
    await hub.settle()


async def test_a_lock_says_until_when_and_one_that_is_over_is_none(hub: Hub) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    until = datetime.now(UTC) + timedelta(days=3)

    await hub.old_news(ban(ada, until_at=until), 1)
    await hub.old_news(ban(eve, until_at=until - timedelta(days=4)), 1)

    assert problem(await sign_in(hub, ada), 403, "account-locked")["until"] == until.isoformat()
    done(await sign_in(hub, eve), 201)
    done(await eve.get("/v1/sessions"))
    await hub.settle()


async def test_a_ban_in_an_organization_locks_no_account(hub: Hub) -> None:
    ada, school = await hub.person("ada"), await hub.school()

    await hub.old_news(ban(ada, org_id=school.org_id), 1)

    done(await sign_in(hub, ada), 201)
    await hub.settle()


async def test_whoever_signs_in_while_being_banned_gets_no_session(hub: Hub) -> None:
    ada = await hub.person("ada")

    async def be_banned() -> Any:
        await hub.old_news(ban(ada), 1)

    _, answer = await hub.at_once(be_banned(), sign_in(hub, ada))

    await hub.broadcasts_arrived()
    if answer.status_code == 201:
        problem(await hub.signed_in(answer.json()["access_token"], ada.id, ada.email).get("/v1/sessions"), 401)
    problem(await sign_in(hub, ada), 403, "account-locked")
    await hub.settle()
