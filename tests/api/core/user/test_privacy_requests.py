"""Privacy requests: what a person and an organization see, and what is left afterwards."""

import asyncio
import io
import json
import os
import sys
import zipfile
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.core.user.contract import StartErasure
from api.core.user.privacy_request import archive, ledger, logic, signing
from api.core.user.privacy_request.replay import replay
from api.media.media import logic as media
from cluster.base.ids import new_id
from cluster.base.settings import settings
from cluster.data import postgres, s3
from cluster.data.objects import Bucket
from cluster.events.parked import retry_job
from cluster.people import erasure, export
from tests.api.learning.course.conftest import Draft
from tests.api.learning.course.conftest import draft as draft
from tests.api.learning.course.conftest import published as published
from tests.api.learning.course.conftest import school as school
from tests.harness import PASSWORD, Hub, Person, School, done, problem


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who has left traces: a member and instructor, with two enrolments, of which one is completed."""

    person: Person
    name: str
    published: Draft
    completed: str
    active: str

    @property
    def school(self) -> School:
        return self.published.school


async def known(hub: Hub, published: Draft) -> Known:
    person, name = await hub.person("ada"), f"Zephyrine {new_id().hex}"
    profile = await person.get("/v1/users/me")
    done(await person.patch("/v1/users/me", {"name": name}, headers={"If-Match": profile.headers["ETag"]}))
    school = published.school
    done(await person.post("/v1/users/me/verify-email", {"token": await mailed(hub, person)}))
    invited = {"organization_id": str(school.org_id), "email": person.email}
    token = done(await school.owner.post("/v1/invitations", invited), 201)["token"]
    done(await person.post("/v1/invitations/-/accept", {"token": token}))
    done(await school.owner.put(f"{published.path}/staff/{person.id}", {"role": "instructor"}))
    run = done(await school.owner.post("/v1/runs", {"course_id": published.id, "title": "Second"}), 201)
    await hub.settle()
    runs = (published.course["default_run_id"], run["id"])
    enrolled = [done(await person.post("/v1/enrollments", {"run_id": run_id}), 201)["id"] for run_id in runs]
    await hub.settle()
    for block in await texts_of(published):
        done(await person.post("/v1/completions", {"enrollment_id": enrolled[0], "block_id": block}))
    await hub.settle()
    states = [done(await person.get(f"/v1/enrollments/{id}"))["state"] for id in enrolled]
    assert states == ["completed", "active"]
    return Known(person, name, published, *enrolled)


async def texts_of(published: Draft) -> list[str]:
    return [str(row["id"]) for row in await rows(_TEXTS, UUID(published.id))]


_TEXTS = "SELECT id FROM content.blocks WHERE course_id = $1 AND type = 'text' AND deleted_at IS NULL"


async def mailed(hub: Hub, person: Person) -> str:
    letters = done(await hub.guest.get("/v1/identities/-/mails", params={"limit": 100}))["items"]
    return next(letter["token"] for letter in letters if letter["to"] == person.email)


async def rows(sql: str, *args: object) -> list[Any]:
    """Ask as the administrator, who sees every schema."""
    connection = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


async def columns_with(text: str) -> set[str]:
    """Return each column, of every table, in which this text stands."""
    columns = await rows(
        """SELECT quote_ident(n.nspname) AS schema, quote_ident(c.relname) AS table, quote_ident(a.attname) AS column
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""
    )
    each = " UNION ALL ".join(
        f"SELECT '{r[0]}.{r[1]}.{r[2]}' AS place WHERE EXISTS "  # noqa: S608
        f"(SELECT FROM {r[0]}.{r[1]} AS t WHERE strpos(lower(t.{r[2]}::text), lower($1)) > 0)"
        for r in columns
    )
    return {row["place"] for row in await rows(each, text)}


async def objects_with(*texts: str) -> set[str]:
    """Return each object, of every bucket of this stack, in whose key or bytes one of these texts stands."""
    found: set[str] = set()
    buckets = await s3.control((await s3.client()).list_buckets)
    for name in (each.get("Name", "") for each in buckets.get("Buckets", [])):
        if not name.startswith(settings().stack.replace("_", "-")):
            continue
        async for stored in Bucket(name).list():
            content = await Bucket(name).read(stored.key)
            if any(text.encode() in content or text in stored.key for text in texts):
                found.add(f"{name}/{stored.key}")
    return found


async def begun(hub: Hub, person: Person, **fields: Any) -> dict[str, Any]:
    """Ask for an erasure, and let 14 days pass."""
    request = done(await person.post("/v1/privacy-requests", {"kind": "erasure", **fields}), 201)
    cooling = done(await person.post(f"/v1/privacy-requests/{request['id']}/confirm"))
    assert cooling["state"] == "cooling"
    await hub.due_now(StartErasure.dedupe(UUID(request["id"])))
    await hub.settle()
    return request


async def erased(hub: Hub, person: Person, **fields: Any) -> dict[str, Any]:
    """Have somebody erased, and return the report as the holder of its token sees it."""
    request = await begun(hub, person, **fields)
    return signing.verified(done(await hub.guest.get(request["report_url"]))["jws"], "privacy-report+jws")


def parts_of(report: dict[str, Any]) -> dict[str, str]:
    return {part["service"]: part["outcome"] for part in report["parts"]}


async def test_an_erasure_leaves_only_what_its_report_keeps(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    before = await columns_with(str(ada.person.id))
    assert {"progress.learners.user_id", "audit.people.user_id", "course.staff.user_id"} <= before
    assert '"user".users.name' in await columns_with(ada.name)
    assert "organization.invitations.email" in await columns_with(ada.person.email)

    report = await erased(hub, ada.person)

    assert parts_of(report) == dict.fromkeys(erasure.services(), "done") | {
        "organization": "kept",
        "user": "kept",
        "enrollment": "kept",
        "progress": "kept",
    }
    assert await columns_with(ada.name) == set()
    assert await columns_with(ada.person.email) == set()
    assert await columns_with(str(ada.person.id)) == {
        '"user".users.id',
        '"user".privacy_requests.user_id',
        '"user".privacy_requests.requested_by',
        "hub.erasures.user_id",
        "organization.members.user_id",
        "enrollment.enrollments.user_id",
        "enrollment.members.user_id",
        "progress.learners.user_id",
    }
    assert await objects_with(str(ada.person.id), ada.name, ada.person.email) == set(), "the ledger's ids are encoded"
    enrolled = await rows("SELECT id FROM enrollment.enrollments WHERE user_id = $1", ada.person.id)
    learned = await rows("SELECT enrollment_id FROM progress.learners WHERE user_id = $1", ada.person.id)
    assert [str(row[0]) for row in (*enrolled, *learned)] == [ada.completed, ada.completed]
    assert sum(part["rows_erased"] for part in report["parts"]) > 8


async def test_an_erasure_ends_every_session_and_frees_the_address(hub: Hub) -> None:
    ada = await hub.person("ada")

    await erased(hub, ada)
    await hub.broadcasts_arrived()

    problem(await ada.get("/v1/users/me"), 401)
    credentials = {"email": ada.email, "password": PASSWORD}
    problem(await hub.guest.post("/v1/sessions", credentials), 401)
    assert done(await hub.guest.post("/v1/users", credentials | {"name": "Ada"}), 201)["id"] != str(ada.id)


async def test_an_erasure_gives_seats_and_learner_counts_back(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    seats = "SELECT sum(taken) AS taken FROM enrollment.seats WHERE run_id = ANY($1::uuid[])"
    runs = [
        row["run_id"]
        for row in await rows("SELECT run_id FROM enrollment.enrollments WHERE user_id = $1", ada.person.id)
    ]
    assert (await rows(seats, runs))[0]["taken"] == 2

    await erased(hub, ada.person)

    assert (await rows(seats, runs))[0]["taken"] == 0
    listing = done(await hub.guest.get(f"/v1/catalog/{published.id}"))
    assert listing["learners"] == 0


async def test_the_audit_trail_holds_and_learns_nothing_new(hub: Hub, published: Draft) -> None:
    from api.platform.audit import logic as audit

    ada = await known(hub, published)

    await erased(hub, ada.person)

    assert await rows("SELECT FROM audit.people WHERE user_id = $1", ada.person.id) == []
    _, broken = await audit.verify(lambda _: None)
    assert [each for each in broken if each.chain == published.school.org_id] == []


async def test_an_erasure_by_an_organization_leaves_the_rest(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    elsewhere = await hub.school(owner=ada.person)
    owner = published.school.owner

    report = await erased(hub, owner, user_id=str(ada.person.id), organization_id=str(published.school.org_id))

    assert parts_of(report) == dict.fromkeys(erasure.services(), "done") | {"user": "kept", "enrollment": "kept"}
    for table in ("organization.members", "enrollment.enrollments", "progress.learners", "course.staff", "rbac.grants"):
        left = await rows(f"SELECT org_id FROM {table} WHERE user_id = $1", ada.person.id)  # noqa: S608
        assert {row["org_id"] for row in left} <= {elsewhere.org_id}, table
    assert done(await ada.person.get("/v1/users/me"))["name"] == ada.name
    assert done(await ada.person.get(f"/v1/organizations/{elsewhere.org_id}"))["id"] == str(elsewhere.org_id)


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


async def test_an_erasure_goes_on_where_its_start_broke_off(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await hub.person("ada")

    async def lost(*_: object) -> None:
        raise ConnectionError("the process died before the ledger had it")

    monkeypatch.setattr(ledger, "record", lost)
    request = await begun(hub, ada)
    seen = done(await ada.get(f"/v1/privacy-requests/{request['id']}"))
    assert (seen["state"], seen["parts"]) == ("running", [])
    problem(await ada.post(f"/v1/privacy-requests/{request['id']}/cancel"), 409, "privacy-request-over")

    monkeypatch.undo()
    await hub.due_now(StartErasure.dedupe(UUID(request["id"])))
    await hub.settle()

    assert await ledger.ledger().head(f"{request['id']}.jws") is not None
    assert await rows('SELECT name, state FROM "user".users WHERE id = $1', ada.id) == [(None, "erased")]


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


async def test_an_export_is_one_archive_for_the_person_alone(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    request = done(await ada.person.post("/v1/privacy-requests", {"kind": "export"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    problem(await ada.person.get(f"{path}/archive"), 409, "archive-not-ready")

    done(await ada.person.post(f"{path}/confirm"))
    await hub.settle()

    finished = done(await ada.person.get(path))
    assert (finished["state"], {part["outcome"] for part in finished["parts"]}) == ("done", {"done"})
    answer = await ada.person.get(f"{path}/archive")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archived:
        content = {name: json.loads(archived.read(name)) for name in archived.namelist()}
    assert sorted(content) == [f"{name}.json" for name in erasure.services()]
    (profile,) = next(each["rows"] for each in content["user.json"] if each["table"] == "user.users")
    assert (profile["name"], profile["email"]) == (ada.name, ada.person.email)
    enrolled = content["enrollment.json"][0]["rows"]
    assert {each["state"] for each in enrolled} == {"completed", "active"}
    identities = next(each["rows"] for each in content["auth.json"] if each["table"] == "auth.identities")
    assert [set(each) & {"secret_hash"} for each in identities] == [set()]
    parts = [stored.key async for stored in export.exports().list(f"{request['id']}/")]
    assert parts == []


async def test_an_archive_goes_after_seven_days(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    done(await ada.post(f"{path}/confirm"))
    await hub.settle()
    assert (await ada.get(f"{path}/archive")).status_code == 200

    await rows('UPDATE "user".privacy_requests SET archive_until = now() WHERE id = $1', UUID(request["id"]))
    await archive.delete_old(datetime.now(UTC) + timedelta(days=9))

    problem(await ada.get(f"{path}/archive"), 409, "archive-not-ready")
    assert await export.exports().head(f"{request['id']}.zip") is None


async def test_a_report_is_for_the_holder_of_its_token(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)

    problem(await hub.guest.get(request["report_url"]), 404, "privacy-request-not-found")
    url = request["report_url"]
    changed = url[:-1] + ("A" if url[-1] != "A" else "B")
    problem(await hub.guest.get(changed), 404, "privacy-request-not-found")
    problem(await hub.guest.get("/v1/privacy-requests/-/report", params={"token": "§"}), 404)


async def test_a_restored_backup_is_erased_again(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    tables = ('"user".users', "auth.identities", "progress.completions", "audit.people")
    people = {'"user".users': "id"}
    saved = {
        table: await rows(f"SELECT * FROM {table} WHERE {people.get(table, 'user_id')} = $1", ada.person.id)  # noqa: S608
        for table in tables
    }
    await erased(hub, ada.person)
    await _as_if_restored(ada, saved)
    assert "auth.identities.email" in await columns_with(ada.person.email)

    count, faults = await replay()
    await hub.settle()

    assert (count, faults) == (1, [])
    assert await rows('SELECT name, state FROM "user".users WHERE id = $1', ada.person.id) == [(None, "erased")]
    assert await columns_with(ada.person.email) == set()
    assert await rows("SELECT FROM progress.completions WHERE user_id = $1", ada.person.id) == []
    assert await replay() == (0, [])


async def _as_if_restored(ada: Known, saved: dict[str, list[Any]]) -> None:
    """Put rows back by hand, and forget the request, as a backup of before it would."""
    await rows('DELETE FROM "user".privacy_requests WHERE user_id = $1', ada.person.id)
    await rows("DELETE FROM hub.erasures WHERE user_id = $1", ada.person.id)
    await rows('DELETE FROM "user".users WHERE id = $1', ada.person.id)
    for table, kept in saved.items():
        for row in kept:
            names = ", ".join(row.keys())
            places = ", ".join(f"${position}" for position in range(1, len(row) + 1))
            await rows(f"INSERT INTO {table} ({names}) VALUES ({places})", *row.values())  # noqa: S608


async def test_the_command_replay_says_how_many_it_repeated(hub: Hub) -> None:
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-m", "api.core.user.privacy_request.replay", stdout=PIPE
    )

    told, _ = await command.communicate()

    assert (command.returncode, told.split()[1:4]) == (0, [b"erasures", b"run", b"again;"])


async def test_a_forged_entry_of_the_ledger_erases_nobody(hub: Hub) -> None:
    ada = await hub.person("ada")
    forged = signing.sign({"request_id": str(ada.id), "user_id": str(ada.id)}, "something-else+jws")
    await ledger.ledger().put("forged.jws", forged.encode())

    try:
        _, faults = await replay()
    finally:
        await ledger.ledger().delete(["forged.jws"])

    assert [fault.startswith("forged.jws is ") for fault in faults] == [True]
    assert done(await ada.get("/v1/users/me"))["id"] == str(ada.id)


async def test_a_part_that_failed_is_seen_and_can_go_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await hub.person("ada")

    async def refuse(*_: object) -> None:
        raise RuntimeError("the files cannot be deleted")

    monkeypatch.setattr(media, "remove_personal", refuse)
    request = await begun(hub, ada)
    (job,) = await rows(
        "SELECT id, attempts FROM hub.jobs WHERE kind = 'media.erase' AND state = 'queued' AND args->>'round' = '1'"
    )
    assert job["attempts"] == 1
    await rows("UPDATE hub.jobs SET attempts = max_attempts - 1, due_at = now() WHERE id = $1", job["id"])
    await hub.settle()
    states = (
        'SELECT r.state, p.outcome FROM "user".privacy_requests r JOIN "user".privacy_parts p ON p.request_id = r.id '
    )
    ours = "WHERE r.id = $1 AND p.service = 'media'"
    assert [tuple(row) for row in await rows(states + ours, UUID(request["id"]))] == [("failed", "failed")]

    monkeypatch.undo()
    async with postgres.read() as db:
        assert await retry_job(db, job["id"])
    await hub.settle()

    assert [tuple(row) for row in await rows(states + ours, UUID(request["id"]))] == [("done", "done")]
