"""Many people are enrolled by one request, with a report for each row, and it can be taken back."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from api.learning.enrollment.bulk import logic
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.data import Connection, read
from cluster.data.postgres import pool
from cluster.jobs import bulk
from cluster.jobs.bulk import run as bulk_run
from cluster.jobs.run import run_due_jobs
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub, Person, done, problem

__all__ = ["draft", "published", "school"]

_MEMBERS = """
INSERT INTO organization.members (id, org_id, user_id, external_id, joined_at, updated_at)
SELECT user_id, $1, user_id, external_id, now(), now() FROM unnest($2::uuid[], $3::text[]) AS member (user_id, external_id)
"""
_STATES = "SELECT user_id, state FROM enrollment.enrollments WHERE run_id = $1"


async def members(course: Draft, count: int, *people: Person) -> list[UUID]:
    """Make members of the school: `people`, and others of whom nothing but their id is known."""
    ids = [*(UUID(str(person.id)) for person in people), *(new_id() for _ in range(count - len(people)))]
    async with pool().acquire() as raw:
        await Connection(raw).run(_MEMBERS, course.school.org_id, ids, [f"pupil-{id.hex[-12:]}" for id in ids])
    return ids


async def states(run_id: str) -> dict[UUID, str]:
    async with read() as db:
        return {row["user_id"]: row["state"] for row in await db.rows(_STATES, UUID(run_id))}


async def seats_taken(run_id: str) -> int:
    async with read() as db:
        return await db.value("SELECT taken FROM enrollment.seats WHERE run_id = $1", UUID(run_id))


async def send(course: Draft, run_id: str, items: Sequence[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """Send a bulk enrolment and return its operation as it was answered."""
    body = {"run_id": run_id, "items": list(items), **fields}
    return done(await course.owner.post("/v1/enrollments/-/bulk", body), 202)


async def ended(hub: Hub, course: Draft, operation: dict[str, Any]) -> dict[str, Any]:
    await hub.settle()
    return done(await course.owner.get(f"/v1/operations/{operation['id']}"))


async def report(course: Draft, operation: dict[str, Any]) -> list[tuple[int, str, str | None]]:
    """Return row, state and kind of problem of each line."""
    lines: list[tuple[int, str, str | None]] = []
    for line in await course.owner.all(f"/v1/operations/{operation['id']}/rows", limit=100):
        kind = None if line["problem"] is None else line["problem"]["type"].removeprefix("/problems/")
        lines.append((line["row"], line["state"], kind))
    return lines


async def upload(course: Draft, content: bytes, name: str = "roster.csv") -> str:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    metadata = {"filename": name, "filetype": "text/csv", "purpose": "roster", "target": f"course:{course.id}"}
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(content)),
        "Upload-Metadata": ",".join(f"{key} {encoded(value)}" for key, value in metadata.items()),
    }
    created = await course.owner.client.post("/v1/uploads", headers=headers)
    assert created.status_code == 201, created.text
    offset = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = await course.owner.client.patch(created.headers["location"], content=content, headers=offset)
    assert sent.status_code == 204, sent.text
    return created.headers["location"].rpartition("/")[2]


async def test_each_row_is_done_or_says_why_not(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    learner = await hub.person("learner")
    one, two, three = await members(published, 3, learner)
    items = [
        {"email": learner.email.upper()},
        {"external_id": f"pupil-{two.hex[-12:]}"},
        {"user_id": str(three)},
        {"user_id": str(three)},
        {"email": "nobody@school.example"},
        {"user_id": str(new_id())},
    ]
    verify = "UPDATE auth.identities SET email_verified_at = now() WHERE user_id = $1"
    async with pool().acquire() as raw:
        await Connection(raw).run(verify, one)

    operation = await ended(hub, published, await send(published, run_id, items))

    assert (operation["state"], operation["counts"]) == ("succeeded", {"created": 3, "failed": 3})
    assert await states(run_id) == {one: "active", two: "active", three: "active"}
    assert await report(published, operation) == [
        (1, "created", None),
        (2, "created", None),
        (3, "created", None),
        (4, "failed", "invalid"),
        (5, "failed", "not-member"),
        (6, "failed", "not-member"),
    ]
    assert done(await learner.get("/v1/enrollments?user_id=me"))["items"][0]["state"] == "active"


async def test_the_report_is_a_table_without_formulas(hub: Hub, published: Draft) -> None:
    operation = await ended(
        hub, published, await send(published, published.course["default_run_id"], [{"external_id": "=1+1"}])
    )

    answer = await published.owner.get(operation["report_url"])

    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    header, line = answer.text.strip().split("\r\n")
    assert header == "row,key,state,id,problem,detail"
    assert line.startswith("1,external_id:=1+1,failed,,/problems/not-member,")


async def test_a_dry_run_reports_and_does_nothing(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    [one] = await members(published, 1)

    operation = await ended(hub, published, await send(published, run_id, [{"user_id": str(one)}], dry_run=True))

    assert (operation["state"], operation["counts"], operation["undo_until"]) == ("succeeded", {"created": 1}, None)
    assert await states(run_id) == {}
    assert await hub.events("enrollment.created") == []


async def test_all_or_nothing_does_nothing_when_a_row_fails(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    [one] = await members(published, 1)
    items = [{"user_id": str(one)}, {"user_id": str(new_id())}]

    refused = await ended(hub, published, await send(published, run_id, items, mode="all_or_nothing"))
    accepted = await ended(hub, published, await send(published, run_id, items[:1], mode="all_or_nothing"))

    assert (refused["state"], refused["problem"]["type"]) == ("failed", "/problems/rows-refused")
    assert await report(published, refused) == [(1, "created", None), (2, "failed", "not-member")]
    assert (accepted["state"], accepted["counts"]) == ("succeeded", {"created": 1})
    assert await states(run_id) == {one: "active"}


async def test_rows_beyond_the_seats_are_refused_in_their_order(hub: Hub, published: Draft) -> None:
    run = done(await published.owner.post("/v1/runs", {"course_id": published.id, "title": "Small", "seats": 2}), 201)
    people = await members(published, 3)

    operation = await ended(
        hub, published, await send(published, run["id"], [{"user_id": str(each)} for each in people])
    )

    assert await report(published, operation) == [
        (1, "created", None),
        (2, "created", None),
        (3, "failed", "run-full"),
    ]
    assert await states(run["id"]) == {people[0]: "active", people[1]: "active"}
    assert await seats_taken(run["id"]) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
async def test_a_file_is_read_as_spreadsheets_write_it(hub: Hub, published: Draft, encoding: str) -> None:
    run_id = published.course["default_run_id"]
    one, two = await members(published, 2)
    text = f'User ID;external_id;State\r\n{one};;Active\r\n;"pupil-{two.hex[-12:]}";\r\n;"Grüße\r\nJürgen";\r\n'
    asset_id = await upload(published, text.encode(encoding))
    await hub.settle()

    sent = await published.owner.post("/v1/enrollments/-/bulk", {"run_id": run_id, "asset_id": asset_id})
    operation = await ended(hub, published, done(sent, 202))

    assert (operation["state"], operation["counts"]) == ("succeeded", {"created": 2, "failed": 1})
    assert await states(run_id) == {one: "active", two: "active"}


async def test_a_file_with_an_unknown_column_is_refused_whole(hub: Hub, published: Draft) -> None:
    asset_id = await upload(published, b"user_id,grade\r\n0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f,A\r\n")
    await hub.settle()
    body = {"run_id": published.course["default_run_id"], "asset_id": asset_id}

    operation = await ended(hub, published, done(await published.owner.post("/v1/enrollments/-/bulk", body), 202))

    assert operation["state"] == "failed"
    assert [(each["pointer"], each["code"]) for each in operation["problem"]["errors"]] == [
        ("/columns/grade", "column-unknown")
    ]


async def test_a_file_with_an_open_quotation_mark_is_refused_whole(hub: Hub, published: Draft) -> None:
    asset_id = await upload(published, b'external_id\r\none\r\n"two\r\n' + b"three\r\n" * 30_000)
    await hub.settle()
    body = {"run_id": published.course["default_run_id"], "asset_id": asset_id}

    operation = await ended(hub, published, done(await published.owner.post("/v1/enrollments/-/bulk", body), 202))

    assert (operation["state"], operation["counts"]) == ("failed", {})
    assert [(each["pointer"], each["code"]) for each in operation["problem"]["errors"]] == [
        ("/rows/2", "row-unreadable")
    ]


async def test_a_killed_worker_repeats_no_row_and_leaves_none_out(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = published.course["default_run_id"]
    people = await members(published, 25)
    monkeypatch.setattr(bulk_run, "BATCH_ROWS", 10)
    operation = await send(published, run_id, [{"user_id": str(each)} for each in people])
    plan = logic._plan  # pyright: ignore[reportPrivateUsage]
    batches = 0

    async def die_in_the_second_batch(caller: Principal, found: bulk.Bulk, rows: Sequence[Any]) -> bulk.Apply:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise ConnectionResetError("the worker is gone")
        return await plan(caller, found, rows)

    work = bulk.BulkWork(
        row=logic.WORK.row, key=logic.WORK.key, plan=die_in_the_second_batch, plan_back=logic.WORK.plan_back
    )
    monkeypatch.setattr("api.learning.enrollment.jobs.WORK", work)
    await run_due_jobs()
    half_way = await states(run_id)
    async with pool().acquire() as raw:
        await Connection(raw).run(
            "UPDATE hub.jobs SET due_at = now() WHERE kind = 'enrollment.bulk' AND state = 'queued'"
        )

    operation = await ended(hub, published, operation)

    assert len(half_way) == 10
    assert (operation["state"], operation["counts"]) == ("succeeded", {"created": 25})
    assert await states(run_id) == dict.fromkeys(people, "active")
    assert await seats_taken(run_id) == 25
    assert [row for row, _, _ in await report(published, operation)] == list(range(1, 26))


async def test_undo_restores_all_but_what_was_changed_since(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    left = await hub.person("left")
    new, since, leaver = await members(published, 3)
    enrolled = done(await left.post("/v1/enrollments", {"run_id": run_id}), 201)
    await members(published, 1, left)
    items = [
        {"user_id": str(new)},
        {"user_id": str(since)},
        {"user_id": str(left.id), "state": "cancelled"},
        {"user_id": str(leaver), "state": "cancelled"},
    ]
    operation = await ended(hub, published, await send(published, run_id, items))
    [changed] = [
        each["id"]
        for each in done(await published.owner.get(f"/v1/enrollments?run_id={run_id}"))["items"]
        if each["user_id"] == str(since)
    ]
    done(await published.owner.post(f"/v1/enrollments/{changed}/suspend"))

    undone = await ended(hub, published, done(await published.owner.post(f"/v1/operations/{operation['id']}/undo")))

    assert operation["counts"] == {"created": 2, "changed": 1, "unchanged": 1}
    assert undone["counts"] == {"taken_back": 2, "kept": 1, "unchanged": 1}
    assert await states(run_id) == {new: "cancelled", since: "suspended", UUID(str(left.id)): "active"}
    assert done(await left.get(f"/v1/enrollments/{enrolled['id']}"))["state"] == "active"
    assert await seats_taken(run_id) == 2
    problem(await published.owner.post(f"/v1/operations/{operation['id']}/undo"), 409, "cannot-be-undone")


async def test_only_staff_of_the_run_enrol_others(hub: Hub, published: Draft) -> None:
    learner, other = await hub.person("learner"), await hub.school()
    body = {"run_id": published.course["default_run_id"], "items": [{"user_id": str(learner.id)}]}

    problem(await learner.post("/v1/enrollments/-/bulk", body), 403)
    problem(await other.owner.post("/v1/enrollments/-/bulk", body), 403)
    problem(await hub.guest.post("/v1/enrollments/-/bulk", body), 401)


async def test_a_right_that_ends_meanwhile_ends_the_work(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    [one] = await members(published, 1)
    teacher = await hub.person("teacher")
    done(await published.owner.put(f"{published.path}/staff/{teacher.id}", {"role": "instructor"}))
    body = {"run_id": run_id, "items": [{"user_id": str(one)}]}
    operation = done(await teacher.post("/v1/enrollments/-/bulk", body), 202)
    done(await published.owner.delete(f"{published.path}/staff/{teacher.id}"), 204)

    ended_operation = await ended(hub, published, operation)

    assert (ended_operation["state"], ended_operation["problem"]["status"]) == ("failed", 403)
    assert await states(run_id) == {}


async def test_two_rosters_at_once_take_each_seat_once(hub: Hub, published: Draft) -> None:
    run = done(await published.owner.post("/v1/runs", {"course_id": published.id, "title": "Small", "seats": 10}), 201)
    people = await members(published, 20)
    items = [{"user_id": str(each)} for each in people]

    await asyncio.gather(send(published, run["id"], items), send(published, run["id"], items[::-1]))
    await asyncio.gather(hub.settle(), run_due_jobs())

    assert len(await states(run["id"])) == 10
    assert await seats_taken(run["id"]) == 10
