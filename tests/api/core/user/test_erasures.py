"""Erasures: what is left afterwards, what they go on from, and what a restored backup repeats."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.core.user.contract import StartErasure
from api.core.user.privacy_request import ledger, signing
from api.core.user.privacy_request.replay import replay
from api.media.media import logic as media
from cluster.base.ids import new_id
from cluster.data import postgres
from cluster.data.objects import bucket
from cluster.events.parked import retry_job
from cluster.people import erasure, export
from cluster.people.privacy import ERASED
from cluster.signals import broadcast, redis, rooms
from tests.api.core.user.privacy import (
    Known,
    begun,
    columns_with,
    erased,
    keys_with,
    known,
    objects_with,
    own_file,
    parts_of,
    rows,
    watched,
)
from tests.api.learning.course.conftest import Draft
from tests.api.learning.course.conftest import draft as draft
from tests.api.learning.course.conftest import published as published
from tests.api.learning.course.conftest import school as school
from tests.harness import PASSWORD, Hub, School, done, problem


async def test_an_erasure_leaves_only_what_its_report_keeps(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    for enrollment_id in (ada.active, ada.completed):
        await watched(ada.person, published, enrollment_id)
    invited = {"organization_id": str(published.school.org_id), "email": ada.person.email.title()}
    unused = done(await published.school.owner.post("/v1/invitations", invited), 201)
    own, theirs = [await own_file(ada.person, "a.txt", b"Zephyr", org) for org in (None, published.school.org_id)]
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
        "media": "kept",
    }
    assert await columns_with(ada.name) == set()
    assert await columns_with(ada.person.email) == set()
    assert done(await published.school.owner.get(f"/v1/invitations/{unused['id']}"))["revoked_at"] is not None
    assert await columns_with(str(ada.person.id)) == {
        '"user".users.id',
        '"user".privacy_requests.user_id',
        '"user".privacy_requests.requested_by',
        "hub.erasures.user_id",
        "organization.members.user_id",
        "enrollment.enrollments.user_id",
        "enrollment.members.user_id",
        "progress.learners.user_id",
        "media.assets.owner_id",
    }
    streams = {redis.key("broadcast"), *(redis.key("rooms", shard) for shard in range(rooms.SHARDS))}
    assert await keys_with(str(ada.person.id)) <= streams, "both are trimmed after an hour"
    await broadcast.trim(datetime.now(UTC) + timedelta(seconds=1))
    await rooms.trim(datetime.now(UTC) + timedelta(seconds=1))
    assert await keys_with(str(ada.person.id), ada.active, ada.completed, ada.name, ada.person.email) == set()
    assert [await bucket("media").head(key) is None for key in (own, theirs)] == [True, False]
    assert {part["service"]: part["files_erased"] for part in report["parts"] if part["files_erased"]} == {"media": 1}
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

    await hub.erased(ada.person.id, "enrollment")
    await hub.settle()

    assert (await rows(seats, runs))[0]["taken"] == 0
    listing = done(await hub.guest.get(f"/v1/catalog/{published.id}"))
    assert listing["learners"] == 0


async def test_the_audit_trail_holds_and_learns_nothing_new(hub: Hub, published: Draft) -> None:
    from api.platform.audit import logic as audit

    ada = await known(hub, published)
    before = await hub.exported(ada.person.id, "audit")

    part = await hub.erased(ada.person.id, "audit")

    assert len(before.rows["audit.people"]) == 1
    assert (part.outcome, part.rows_erased) == ("done", 1)
    assert (await hub.exported(ada.person.id, "audit")).rows["audit.people"] == []
    await hub.settle()
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
        "SELECT id, attempts FROM hub.jobs WHERE dedupe = $1 AND state = 'queued'", f"media.erase:{request['id']}:1"
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


async def test_what_waits_keeps_ids_alone_and_for_15_days(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    id, other = str(ada.person.id), new_id()
    about, of = f'{{"user_id": "{id}"}}', f'{{"kind": "person", "id": "{id}"}}'
    await rows(
        """INSERT INTO hub.jobs (id, kind, service, args, state, due_at, max_attempts, actor, last_error, finished_at) VALUES
           ($1, 'probe.about', 'user', $2::jsonb, 'queued', now() + interval '1 year', 3, '{"kind": "platform"}', $4, NULL),
           ($5, 'probe.by', 'user', '{}', 'dead', now(), 3, $3::jsonb, $4, now())""",
        *(new_id(), about, of, f"ValueError: {ada.person.email.upper()} of {ada.name}", other),
    )
    for key in (id, str(other)):
        error = f"ValueError: {ada.name}"
        await rows("INSERT INTO hub.parked_keys VALUES ('probe', $1, 1, now(), true, $2)", key, error)
        await rows(
            "INSERT INTO hub.parked (consumer, key, event_id, type, envelope) VALUES ('probe', $1, $2, 'x', $3::json)",
            *(key, new_id(), f'{{"actorid": "{id}"}}'),
        )

    operation_id = await bulk_with(published.school, f"email:{ada.person.email}")

    report = await erased(hub, ada.person)

    assert [tuple(row) for row in await rows(_LINES, operation_id)] == [
        ("", "failed", None),
        ("email:eve", "failed", "{}"),
    ]
    waiting = {"hub.jobs.args", "hub.parked.key", "hub.parked_keys.key", "hub.parked.envelope"}
    assert {place for place in await columns_with(id) if place.startswith("hub.")} == waiting | {"hub.erasures.user_id"}
    assert await columns_with(ada.name) | await columns_with(ada.person.email) == set()
    days_left = {
        each["where"]: (datetime.fromisoformat(each["until"]) - datetime.fromisoformat(report["finished_at"])).days
        for each in report["ids_left"]
    }
    assert days_left == {
        "events in the event log": 7,
        "work and events that wait or failed": 15,
        "messages between processes": 0,
    }

    await hub.due_now(f"user.erase:{report['request_id']}:after 15 days")
    await hub.settle()

    assert {place for place in await columns_with(id) if place.startswith("hub.")} == {"hub.erasures.user_id"}
    assert [tuple(row) for row in await rows("SELECT key FROM hub.parked WHERE consumer = 'probe'")] == [(str(other),)]
    (kept,) = await rows("SELECT kind, actor->>'id', last_error FROM hub.jobs WHERE id = $1", other)
    assert tuple(kept) == ("probe.by", ERASED, "erased with a person")
    await rows("DELETE FROM hub.jobs WHERE kind LIKE 'probe.%'")
    await rows("DELETE FROM hub.parked WHERE consumer = 'probe'")
    await rows("DELETE FROM hub.parked_keys WHERE consumer = 'probe'")


_LINES = "SELECT key, state, problem FROM hub.bulk_rows WHERE operation_id = $1 ORDER BY row"


async def bulk_with(school: School, key: str) -> UUID:
    """Make a finished bulk of which two rows failed, because nobody had these addresses then."""
    id = new_id()
    await rows(
        """INSERT INTO hub.operations (id, kind, state, org_id, created_at, finished_at)
           VALUES ($1, 'probe.bulk', 'succeeded', $2, now(), now())""",
        *(id, school.org_id),
    )
    await rows(
        """INSERT INTO hub.bulks (operation_id, job_kind, service, org_id, context, all_or_nothing, dry_run, items, phase,
               created_at)
           VALUES ($1, 'probe.bulk', 'enrollment', $2, '{}', false, false, '[]', 'over', now())""",
        *(id, school.org_id),
    )
    await rows(
        """INSERT INTO hub.bulk_rows (operation_id, row, org_id, key, state, problem)
           SELECT $1, row, $2, key, 'failed', '{}' FROM unnest($3::text[]) WITH ORDINALITY AS line (key, row)""",
        *(id, school.org_id, [key, "email:eve"]),
    )
    return id


async def test_an_unverified_address_keeps_the_invitations_to_it(hub: Hub, school: School) -> None:
    eve = await hub.person("eve")
    invited = {"organization_id": str(school.org_id), "email": eve.email}
    invitation = done(await school.owner.post("/v1/invitations", invited), 201)

    await erased(hub, eve)

    kept = done(await school.owner.get(f"/v1/invitations/{invitation['id']}"))
    assert (kept["revoked_at"], kept["email"]) == (None, eve.email)


async def test_an_organization_forgets_the_invitations_it_sent_alone(hub: Hub, published: Draft) -> None:
    ada, elsewhere = await known(hub, published), await hub.school()
    owners = (published.school.owner, elsewhere.owner)
    invitations: list[str] = []
    for owner, org_id in zip(owners, (published.school.org_id, elsewhere.org_id), strict=True):
        invited = {"organization_id": str(org_id), "email": ada.person.email}
        invitations.append(done(await owner.post("/v1/invitations", invited), 201)["id"])

    await erased(hub, owners[0], user_id=str(ada.person.id), organization_id=str(published.school.org_id))

    left = [
        done(await owner.get(f"/v1/invitations/{id}"))["email"] for owner, id in zip(owners, invitations, strict=True)
    ]
    assert left == [None, ada.person.email]


async def test_an_erasure_deletes_the_archives_of_exports(hub: Hub) -> None:
    ada = await hub.person("ada")
    finished = done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)
    done(await ada.post(f"/v1/privacy-requests/{finished['id']}/confirm"))
    await hub.settle()
    assert await export.exports().head(f"{finished['id']}.zip") is not None

    await hub.erased(ada.id, "user")

    assert await export.exports().head(f"{finished['id']}.zip") is None
    left = await rows('SELECT archive_until FROM "user".privacy_requests WHERE id = $1', UUID(finished["id"]))
    assert [tuple(row) for row in left] == [(None,)]
