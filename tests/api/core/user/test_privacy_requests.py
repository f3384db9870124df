"""Privacy requests: who may ask, confirm and cancel, and what they see."""

from uuid import UUID

from api.core.user.contract import StartErasure
from api.core.user.privacy_request import logic
from cluster.data import postgres
from tests.api.core.user.privacy import rows
from tests.api.learning.course.conftest import school as school
from tests.harness import PASSWORD, Hub, School, done, problem


async def test_who_owns_an_organization_alone_cannot_leave(hub: Hub, school: School) -> None:
    answer = await school.owner.post("/v1/privacy-requests", {"kind": "erasure"})

    document = problem(answer, 409, "sole-owner")
    assert document["organizations"] == [str(school.org_id)]


async def test_who_became_the_sole_owner_meanwhile_stays(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "erasure"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    done(await ada.post(f"{path}/confirm"))
    await hub.school(owner=ada)

    await hub.due_now(StartErasure.dedupe(UUID(request["id"])))
    await hub.settle()

    failed = done(await ada.get(path))
    assert (failed["state"], failed["failure"]) == ("failed", "sole-owner")


async def test_confirming_asks_for_a_recent_password(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "erasure"}), 201)
    session = done(await hub.guest.post("/v1/sessions", {"email": ada.email, "password": PASSWORD}), 201)
    old = hub.signed_in(await _aged(session["id"]), ada.id, ada.email)

    answer = await old.post(f"/v1/privacy-requests/{request['id']}/confirm")

    problem(answer, 401, "recent-sign-in-needed")
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    renewed = done(await old.post("/v1/sessions/me/reauthenticate", {"password": PASSWORD}))["access_token"]
    again = hub.signed_in(renewed, ada.id, ada.email)
    assert done(await again.post(f"/v1/privacy-requests/{request['id']}/confirm"))["state"] == "cooling"


async def _aged(session_id: str) -> str:
    """Return an access token of a session whose password was proven ten minutes ago."""
    from api.core.auth.contract import SessionId
    from api.core.auth.session import logic as sessions
    from api.core.auth.session import store
    from api.core.auth.signing_key.logic import signing_key

    await rows("UPDATE auth.sessions SET auth_time = now() - interval '10 minutes' WHERE id = $1", UUID(session_id))
    async with postgres.read() as db:
        guarded = await store.find_session(db, SessionId(UUID(session_id)))
    assert guarded is not None
    session = await logic.permit(logic.platform("auth"), "session:read", guarded)
    return sessions.access_token(session, await signing_key())


async def test_a_cancelled_erasure_never_begins(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "erasure"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    done(await ada.post(f"{path}/confirm"))

    cancelled = done(await ada.post(f"{path}/cancel"))
    await hub.due_now(StartErasure.dedupe(UUID(request["id"])))
    await hub.settle()

    assert (cancelled["state"], done(await ada.get(path))) == ("cancelled", cancelled)
    problem(await ada.post(f"{path}/confirm"), 409, "privacy-request-over")
    assert done(await ada.get("/v1/users/me"))["id"] == str(ada.id)
    done(await ada.post("/v1/privacy-requests", {"kind": "erasure"}), 201)


async def test_the_same_is_asked_for_once_at_a_time(hub: Hub) -> None:
    ada = await hub.person("ada")
    done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)

    again = await ada.post("/v1/privacy-requests", {"kind": "export"})

    problem(again, 409, "privacy-request-pending")


async def test_nobody_asks_about_somebody_else(hub: Hub, school: School) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    about = {"kind": "erasure", "user_id": str(ada.id)}
    request = done(await ada.post("/v1/privacy-requests", {"kind": "erasure"}), 201)

    problem(await eve.post("/v1/privacy-requests", about), 404, "user-not-found")
    problem(await eve.post("/v1/privacy-requests", about | {"organization_id": str(school.org_id)}), 404)
    for verb in ("", "/confirm", "/cancel", "/archive"):
        path = f"/v1/privacy-requests/{request['id']}{verb}"
        answer = await (eve.post(path) if verb in ("/confirm", "/cancel") else eve.get(path))
        problem(answer, 404, "privacy-request-not-found")
    assert done(await eve.get("/v1/privacy-requests"))["items"] == []


async def test_a_person_sees_but_does_not_stop_an_organization(hub: Hub, school: School) -> None:
    ada = await hub.person("ada")
    new = {"kind": "erasure", "user_id": str(ada.id), "organization_id": str(school.org_id)}
    request = done(await school.owner.post("/v1/privacy-requests", new), 201)
    path = f"/v1/privacy-requests/{request['id']}"

    assert done(await ada.get(path))["organization_id"] == str(school.org_id)
    assert [each["id"] for each in done(await ada.get("/v1/privacy-requests"))["items"]] == [request["id"]]
    problem(await ada.post(f"{path}/cancel"), 403, "forbidden")


async def test_a_report_is_for_the_holder_of_its_token(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)

    problem(await hub.guest.get(request["report_url"]), 404, "privacy-request-not-found")
    url = request["report_url"]
    changed = url[:-1] + ("A" if url[-1] != "A" else "B")
    problem(await hub.guest.get(changed), 404, "privacy-request-not-found")
    problem(await hub.guest.get("/v1/privacy-requests/-/report", params={"token": "§"}), 404)
