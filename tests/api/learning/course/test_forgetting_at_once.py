"""Forgetting a revision while it is pinned, published or asked for again, and when its process is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.contract import ContentCalls, Frozen
from api.learning.course.contract import CourseId
from api.learning.course.forgetting import logic
from api.learning.course.publication import logic as publication
from cluster.base.problems import Unavailable
from cluster.base.settings import REPOSITORY
from cluster.data import read
from cluster.data.postgres import pool
from cluster.people.calls import client
from tests.api.learning.course.filmed import Filmed, film_course
from tests.api.learning.course.filmed import filmed as filmed
from tests.harness import Hub, School, done, problem


async def test_publishing_before_content_let_go_freezes_anew(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise Unavailable("content does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(logic, "let_go", away)
        await filmed.forget()
    done(await filmed.person.post(f"/v1/blocks/{filmed.block_id}/restore"))
    await filmed.publish()
    done(await filmed.person.delete(f"/v1/blocks/{filmed.block_id}"), 204)
    await hub.settle()

    assert await filmed.in_use(), "the job, late, let go of the first outline alone"
    async with read() as db:
        sql = "SELECT count(DISTINCT frozen_id), count(*) FROM course.revisions WHERE course_id = $1"
        assert tuple((await db.rows(sql, UUID(filmed.author.course_id)))[0]) == (3, 3)


async def test_a_run_cannot_pin_what_is_forgotten_in_the_same_moment(hub: Hub, school: School) -> None:
    seen: set[str] = set()
    filmed = await film_course(school)
    text = await filmed.author.text()
    for number in range(2, 22):
        await filmed.author.change(text, {"body": {"markdown": str(number)}})
        await filmed.publish()
        new = {"course_id": filmed.author.course_id, "title": "Race", "pinned_revision": number}

        pinned, forgotten = await hub.at_once(
            filmed.person.post("/v1/runs", new),
            filmed.person.post(f"{filmed.path}/revisions/{number}/forget"),
        )

        seen.add(f"{pinned.status_code} {forgotten.status_code}")
    assert seen <= {"201 409", "422 200"}, seen


async def test_pinning_and_forgetting_wait_for_each_other(hub: Hub, filmed: Filmed) -> None:
    new = {"course_id": filmed.author.course_id, "title": "Waits", "pinned_revision": 1}
    course_id = UUID(filmed.author.course_id)
    mark = "UPDATE course.revisions SET forgotten_at = $2 WHERE course_id = $1 AND revision = 1"

    async with pool().acquire() as raw, raw.transaction():
        await raw.execute(mark, course_id, datetime.now(UTC))
        pinning = asyncio.create_task(filmed.person.post("/v1/runs", new))
        await _waits_for_a_lock(raw, pinning)
    problem(await pinning, 422, "revision-unknown")

    async with pool().acquire() as raw, raw.transaction():
        await raw.execute(mark, course_id, None)
        await raw.execute("UPDATE course.runs SET pinned_revision = 1 WHERE course_id = $1", course_id)
        forgetting = asyncio.create_task(filmed.person.post(f"{filmed.path}/revisions/1/forget"))
        await _waits_for_a_lock(raw, forgetting)
    problem(await forgetting, 409, "revision-in-use")


async def _waits_for_a_lock(raw: Any, request: "asyncio.Task[Any]") -> None:
    """Return when the request waits for a lock that this connection holds."""
    async with asyncio.timeout(20):
        while not await raw.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        ):
            assert not request.done(), "it did not wait"
            await asyncio.sleep(0.02)


async def test_an_outline_that_is_forgotten_while_it_is_published_is_refused(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(await filmed.person.post(f"/v1/blocks/{filmed.block_id}/restore"))
    freeze = publication._freeze  # pyright: ignore[reportPrivateUsage]

    async def freeze_then_forget(course_id: CourseId) -> Frozen:
        frozen = await freeze(course_id)
        await filmed.forget()
        return frozen

    with monkeypatch.context() as patched:
        patched.setattr(publication, "_freeze", freeze_then_forget)
        problem(await filmed.person.post(f"{filmed.path}/publish"), 503, "unavailable")

    assert await filmed.publish() == 3
    done(await filmed.person.delete(f"/v1/blocks/{filmed.block_id}"), 204)
    assert await filmed.in_use()


_DOOMED = """
import asyncio, sys
from uuid import UUID

from api.learning.content.frozen import logic as content
from api.learning.course.forgetting import logic, store
from cluster.base.principal import PLATFORM
from cluster.base.services import table
from cluster.host import ServiceHost

async def stop(*args, **kwargs):
    print("reached", flush=True)
    await asyncio.sleep(60)

let_go = logic.let_go

async def let_go_then_stop(frozen_id):
    await let_go(frozen_id)
    await stop()

async def main():
    await ServiceHost(tuple(table())).start()
    match sys.argv[2]:
        case "before course commits":
            store.find_is_let_go = stop
        case "before content is asked":
            logic.let_go = stop
        case "before content commits":
            content.uses.use = stop
        case "after content committed":
            logic.let_go = let_go_then_stop
    await logic.forget(PLATFORM, UUID(sys.argv[1]), 1)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("moment", "forgotten", "in_use"),
    [
        ("before course commits", [], True),
        ("before content is asked", [1], True),
        ("before content commits", [1], True),
        ("after content committed", [1], False),
    ],
)
async def test_forgetting_that_is_killed_is_done_wholly_or_not(
    hub: Hub, filmed: Filmed, moment: str, forgotten: list[int], in_use: bool
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DOOMED, filmed.author.course_id, moment),
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert process.stdout is not None
    while (line := await process.stdout.readline()) != b"reached\n":
        assert line, "it ended by itself"
    process.send_signal(signal.SIGKILL)
    await process.wait()

    assert (await filmed.forgotten(), await filmed.in_use()) == (forgotten, in_use)
    await hub.settle()
    assert await filmed.in_use() == (forgotten == []), "the job does what the process could not"
    await filmed.forget()
    assert (await filmed.forgotten(), await filmed.in_use()) == ([1], False)


async def test_letting_go_twice_is_the_same_as_once(hub: Hub, filmed: Filmed) -> None:
    async with read() as db:
        sql = "SELECT frozen_id FROM course.revisions WHERE course_id = $1 AND revision = 1"
        frozen_id = await db.value(sql, UUID(filmed.author.course_id))
    await client(ContentCalls).let_go(frozen_id)

    await client(ContentCalls).let_go(frozen_id)

    assert not await filmed.in_use()
    assert (await client(ContentCalls).outline_of(frozen_id)).id == frozen_id
