"""How many rows of a roster are enrolled in a second, against plain INSERTs of the same rows, in what memory, and undone again.

The roster is a CSV file with an address in each row. All services and the worker are this process, and events stay in the outbox.
The peer sends the rows of the enrolments alone, 500 to a transaction, into a table with the same indexes.
"""

import asyncio
import base64
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil

from actors import performers
from bench.figures import Figure, hand_over, progress, quick
from cluster.base.ids import new_id
from cluster.base.registry import load
from cluster.base.services import table
from cluster.base.settings import settings
from cluster.data import objects, read
from cluster.data.migrations import migrate
from cluster.host import ServiceHost
from cluster.jobs.run import run_due_jobs

_ROWS = int(os.environ.get("HUB_BENCH_BULK_ROWS", "5_000" if quick() else "100_000"))
"""The setting is for machines that others use, too."""
_BATCH_ROWS = 500
_GOAL_PER_S = 1_000
_GOAL_RATIO = 0.1
_GOAL_MEMORY_MIB = 16
_LOOK_S = 0.1

_IDENTITIES = """
INSERT INTO auth.identities (id, user_id, issuer, subject, email, email_verified_at, created_at, changed_at)
SELECT gen_random_uuid(), user_id, 'password', email, email, now(), now(), now()
FROM unnest($1::uuid[], $2::text[]) AS person (user_id, email)
"""
_MEMBERS = """
INSERT INTO organization.members (id, org_id, user_id, joined_at, updated_at)
SELECT user_id, $1, user_id, now(), now() FROM unnest($2::uuid[]) AS person (user_id)
"""
_PEER = """
INSERT INTO enrollment.bench (id, org_id, course_id, run_id, user_id, state, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, 'active', $6, $6)
"""
_POSITION = "SELECT position FROM hub.bulks WHERE operation_id = $1"


async def run() -> list[Figure]:
    """Measure on servers of its own."""
    await migrate()
    services = tuple(table())
    host = ServiceHost(services, wait_s=30.0)
    await host.start()
    load(services, "handlers", "jobs")
    performers.load()
    admin = await asyncpg.connect(settings().postgres_url)
    transport = httpx.ASGITransport(app=host, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=settings().public_url, timeout=60) as client:
            course = await _furnish(client)
            progress(f"{_ROWS} members")
            people = await _people(admin, UUID(course["organization_id"]))
            peer = await _by_inserts(admin, course, people)
            per_s, grown_mib, undone_per_s = await _by_bulk(client, course, _addresses(people))
    finally:
        await admin.close()
        await objects.close()
        await host.stop()
    return [
        Figure(name="rows of a roster enrolled", value=per_s, unit="1/s", goal=_GOAL_PER_S),
        Figure(name="the same, against INSERTs alone", value=per_s, unit="1/s", peer=peer, goal=_GOAL_RATIO),
        Figure(
            name="memory gained from 10 % to 90 % of it",
            value=grown_mib,
            unit="MiB",
            goal=_GOAL_MEMORY_MIB,
            better="less",
        ),
        Figure(name="rows of a roster undone", value=undone_per_s, unit="1/s", goal=_GOAL_PER_S),
    ]


async def _by_bulk(
    client: httpx.AsyncClient, course: dict[str, Any], addresses: list[str]
) -> tuple[float, float, float]:
    """Enrol everybody and undo it.

    Return rows a second, the memory in MiB that came between a tenth and nine tenths of them, and rows undone a second.
    """
    asset_id = await _upload(client, course["id"], "email\r\n" + "".join(f"{each}\r\n" for each in addresses))
    operation = await _post(
        client, "/v1/enrollments/-/bulk", {"run_id": course["default_run_id"], "asset_id": asset_id}
    )
    watching = asyncio.create_task(_watch(UUID(operation["id"])))
    took_s = await _job_s()
    watching.cancel()
    memory_mib: list[float] = []
    with suppress(asyncio.CancelledError):
        memory_mib = await watching
    await _check(client, operation, {"created": _ROWS})
    progress(f"enrolled in {took_s:.1f} s, in {' and '.join(f'{each:.0f} MiB' for each in memory_mib)}; undoing it")
    await _post(client, f"/v1/operations/{operation['id']}/undo", None)
    undo_s = await _job_s()
    await _check(client, operation, {"taken_back": _ROWS})
    return _ROWS / took_s, memory_mib[1] - memory_mib[0], _ROWS / undo_s


async def _job_s() -> float:
    begun = time.perf_counter()
    await run_due_jobs(("enrollment",))
    return time.perf_counter() - begun


async def _check(client: httpx.AsyncClient, operation: dict[str, Any], counts: dict[str, int]) -> None:
    ended = (await client.get(f"/v1/operations/{operation['id']}")).json()
    if (ended["state"], ended["counts"]) != ("succeeded", counts):
        raise RuntimeError(f"not every row was done: {ended}")


async def _watch(operation_id: UUID) -> list[float]:
    """Return the memory of this process, in MiB, after a tenth and after nine tenths of the rows."""
    found: list[float] = []
    for share in (0.1, 0.9):
        async with read() as db:
            while await db.value(_POSITION, operation_id) < share * _ROWS:  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(_LOOK_S)
        found.append(psutil.Process().memory_info().rss / 1024 / 1024)
    return found


async def _by_inserts(admin: asyncpg.Connection, course: dict[str, Any], people: list[UUID]) -> float:
    await admin.execute("CREATE TABLE enrollment.bench (LIKE enrollment.enrollments INCLUDING ALL)")
    run_id, org_id, course_id = (UUID(course[name]) for name in ("default_run_id", "organization_id", "id"))
    now = datetime.now(UTC)
    begun = time.perf_counter()
    for start in range(0, len(people), _BATCH_ROWS):
        rows = [(new_id(), org_id, course_id, run_id, each, now) for each in people[start : start + _BATCH_ROWS]]
        async with admin.transaction():
            await admin.executemany(_PEER, rows)
    per_s = len(people) / (time.perf_counter() - begun)
    await admin.execute("DROP TABLE enrollment.bench")
    return per_s


async def _people(admin: asyncpg.Connection, org_id: UUID) -> list[UUID]:
    people = [new_id() for _ in range(_ROWS)]
    await admin.execute(_IDENTITIES, people, _addresses(people))
    await admin.execute(_MEMBERS, org_id, people)
    await admin.execute("ANALYZE")
    return people


def _addresses(people: list[UUID]) -> list[str]:
    return [f"pupil-{each.hex}@people.example" for each in people]


async def _upload(client: httpx.AsyncClient, course_id: str, text: str) -> str:
    content = text.encode()
    metadata = {
        "filename": "roster.csv",
        "filetype": "text/csv",
        "purpose": "roster",
        "target": f"course:{course_id}",
    }
    pairs = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
    begin = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content)), "Upload-Metadata": pairs}
    place = (await client.post("/v1/uploads", headers=begin)).headers["location"]
    send = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = await client.patch(place, content=content, headers=send)
    if sent.status_code != 204:
        raise RuntimeError(f"PATCH {place}: {sent.status_code} {sent.text}")
    await run_due_jobs(("media",))
    return place.rpartition("/")[2]


async def _furnish(client: httpx.AsyncClient) -> dict[str, Any]:
    """Sign a teacher in, and return their published course."""
    person = {"email": f"bench-{new_id().hex[-12:]}@people.example", "password": "a long enough sentence"}
    await _post(client, "/v1/users", {**person, "name": "Bench"})
    token = (await _post(client, "/v1/sessions", person))["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    school = await _post(client, "/v1/organizations", {"name": "Bench", "slug": f"bench-{new_id().hex[-12:]}"})
    new = {"organization_id": school["id"], "title": "Algebra", "language": "en", "summary": "Letters."}
    course = await _post(client, "/v1/courses", new)
    parent_id = None
    for type in ("module", "lesson", "text"):
        block = {"course_id": course["id"], "parent_id": parent_id, "type": type, "title": type.title()}
        parent_id = (
            await _post(client, "/v1/blocks", block | ({"body": {"markdown": "# One"}} if type == "text" else {}))
        )["id"]
    return await _post(client, f"/v1/courses/{course['id']}/publish", None)


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    if not answer.is_success:
        raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
    return answer.json()


if __name__ == "__main__":
    hand_over(asyncio.run(run()))
